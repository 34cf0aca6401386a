"""A DynamoDB table in memory: the reference of `ports.Table`, a dict from canonical key to image.

With a stream enabled, every write that changes something leaves a record there, as in DynamoDB. Tests compare other tables with it.
"""

from __future__ import annotations

import datetime
import heapq
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from backstream.errors import BackstreamError, Failed, MissingTable, TargetNotEmpty
from backstream.model.changes.change import VIEW
from backstream.model.tables.creation import Creation, on_demand
from backstream.model.tables.settings import TableSettings, table_of
from backstream.model.tables.setup import SetupStep
from backstream.model.values import sizes, wire
from backstream.model.values.schema import KeySchema
from backstream.ports import Clock, ConditionalWrite, ScanPage, TableFacts, Write
from backstream.tables.memory_settings import MemorySettings
from backstream.tables.memory_stream import MemoryStream

WRITES_PER_BATCH = 25
READ_UNIT_BYTES = 4096
TTL_ACTOR = "dynamodb.amazonaws.com"


class MemoryTable:
    """See `ports.Table`, in memory. Without a `schema` the table does not exist until `create`.

    `streams`: all streams it ever had, oldest first. `page_items`: the items in a page of a scan; `shards`: the shards that a
    stream begins with. `tags` override the tags of its creation, the one setting that tests change. `account`, `region` and `id`:
    its identity; a test may set them before anything asks.
    """

    def __init__(self, name: str, clock: Clock, schema: KeySchema | None = None, *, page_items: int = 100, shards: int = 2) -> None:
        self._name = name
        self._clock = clock
        self._schema = schema
        self._settings = None if schema is None else MemorySettings(on_demand(schema))
        self._page_items = page_items
        self._shards = shards
        self._items: dict[bytes, bytes] = {}
        self._lock = threading.RLock()
        self.streams: list[MemoryStream] = []
        self.tags: dict[str, str] = {}
        self.account = "000000000000"
        self.region = "us-east-1"
        self._lives = 0  # how often it was deleted
        self.id = self._next_id()
        self._created = clock.now()

    @property
    def name(self) -> str:
        """The table's name."""
        return self._name

    @property
    def stream(self) -> MemoryStream:
        """The latest of its streams, enabled or not. Raises IndexError if it never had one."""
        return self.streams[-1]

    # --- what the table is --------------------------------------------------------------------------------------------------------

    def facts(self) -> TableFacts:
        """Returns the table's description now."""
        with self._lock:
            schema = self._existing()
            stream = self.stream.facts() if self.streams else None
            enabled = stream is not None and stream.enabled
            return TableFacts(
                name=self._name,
                arn=self._arn,
                table_id=self.id,
                schema=schema,
                status="ACTIVE",
                stream_arn=None if stream is None else stream.arn,
                stream_enabled=enabled,
                stream_view=VIEW if enabled else None,
                description=self._description(stream_arn=None if stream is None else stream.arn, enabled=enabled),
            )

    def settings(self) -> TableSettings:
        """Returns the settings of the table's creation, with those set since."""
        description = self.facts().description
        others = TableSettings({}) if self._settings is None else self._settings.others
        tags = dict(sorted({**others.tags, **self.tags}.items()))
        return msgspec.structs.replace(others, table=table_of(msgspec.json.decode(description)), tags=tags)

    def _next_id(self) -> str:
        return f"{zlib.crc32(self._name.encode()):08x}-0000-4000-8000-{self._lives:012x}"

    @property
    def _arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self._name}"

    def _description(self, *, stream_arn: str | None, enabled: bool) -> bytes:
        """DescribeTable's `Table`."""
        description: dict[str, object] = {"TableName": self._name, "TableArn": self._arn, "TableStatus": "ACTIVE"}
        description["CreationDateTime"] = self._created
        if self._settings is not None:
            description |= self._settings.description
        if stream_arn is not None:
            description["LatestStreamArn"] = stream_arn
        if enabled:
            description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": VIEW}
        return msgspec.json.encode(description)

    def _existing(self) -> KeySchema:
        if self._schema is None:
            raise MissingTable(f"no table {self._name}")
        return self._schema

    # --- reading ------------------------------------------------------------------------------------------------------------------

    def is_empty(self) -> tuple[bool, float]:
        """Returns whether there is no item, and the time just before looking."""
        with self._lock:
            self._existing()
            return not self._items, self._clock.now()

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[Sequence[bytes]]:
        """Yields pages of images of one of `segments` parts.

        As in DynamoDB each page is of its own moment: writes may come between.
        """
        page = self.page(segment, segments, None)
        while page.images:
            yield page.images
            page = self.page(segment, segments, page.after)

    def server_time(self) -> float:
        """The clock's time."""
        with self._lock:
            self._existing()
            return float(int(self._clock.now()))

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        """Returns the next images after that key; keys come in the order of their hashes, as in DynamoDB's scans."""
        if not 0 <= segment < segments:
            raise Failed(f"no segment {segment} of {segments}")
        with self._lock:
            schema = self._existing()
            reached = (-1, b"") if after is None else _place(wire.key_of(schema, after))
            places = ((_place(key), image) for key, image in self._items.items())
            mine = (each for each in places if each[0][0] % segments == segment and each[0] > reached)
            page = heapq.nsmallest(min(limit or self._page_items, self._page_items), mine)
            units = sum(-(-len(image) // READ_UNIT_BYTES) for _, image in page)
            took = float(units) if consistent else units / 2
            return ScanPage([image for _, image in page], page[-1][0][1] if page else None, self.server_time(), took)

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Returns the images of the existing items among `keys`, each once."""
        with self._lock:
            schema = self._existing()
            wanted = dict.fromkeys(wire.key_of(schema, key) for key in keys)
            return [self._items[key] for key in wanted if key in self._items]

    # --- writing ------------------------------------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """Does all of one batch. It never leaves any undone: tests use a wrapper for that."""
        with self._lock:
            schema = self._existing()
            images = {wire.key_of(schema, write.body): write.after for write in writes}
            if len(images) < len(writes) or len(writes) > WRITES_PER_BATCH:
                raise Failed(f"BatchWriteItem of table {self._name} failed: more than {WRITES_PER_BATCH} writes, or two on one key")
            if took is not None:
                took(float(sum(self._write_units(key, image) for key, image in images.items())))
            for key, image in images.items():
                self._set(key, image)
            return []

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """Does one write, if the item is unchanged."""
        with self._lock:
            key = wire.key_of(self._existing(), write.body)
            now = self._items.get(key)
            same = wire.same_state(now, before)
            if same:
                self._set(key, write.after)
            return same

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """Does each write, if its item is unchanged."""
        return [self._outcome(each) for each in writes]

    def _outcome(self, write: ConditionalWrite) -> bool | BackstreamError:
        try:
            return self.write_if(write.write, write.before)
        except BackstreamError as error:
            return error

    def change_if(self, after: bytes, before: bytes) -> bool:
        """Changes the attributes that differ, if all named attributes of the item are unchanged."""
        with self._lock:
            key = wire.key_of(self._existing(), after)
            now, old, new = (None if each is None else wire.decode(each) for each in (self._items.get(key), before, after))
            if now is None or old is None or new is None:
                return False
            named = {name: value for name, value in now.items() if name in old or name in new}
            if not wire.same_image(wire.encode(named), before):
                return False
            kept = {name: value for name, value in now.items() if name not in named}
            self._set(key, after if not kept else wire.encode({**new, **kept}))
            return True

    def _write_units(self, key: bytes, image: bytes | None) -> int:
        """Returns the units, by the larger one of the item before and after."""
        return max(sizes.write_units(each) for each in (key, image, self._items.get(key)) if each is not None)

    def expire(self, keys: Sequence[bytes]) -> None:
        """Deletes these items as time to live does: the stream's records name DynamoDB as their actor."""
        with self._lock:
            schema = self._existing()
            for key in keys:
                self._set(wire.key_of(schema, key), None, actor=TTL_ACTOR)

    def _set(self, key: bytes, image: bytes | None, *, actor: str | None = None) -> None:
        old = self._items.pop(key, None)
        if image is not None:
            self._items[key] = image
        same = old == image or (old is not None and image is not None and wire.same_image(old, image))
        if not same and self._is_streaming():
            self.stream.append(key, old, image, actor=actor)

    def _is_streaming(self) -> bool:
        return bool(self.streams) and self.stream.enabled

    # --- changing the table -------------------------------------------------------------------------------------------------------

    def enable_stream(self) -> None:
        """Turns on a stream, a new one unless one is on."""
        with self._lock:
            self._existing()
            if not self._is_streaming():
                arn = f"{self._arn}/stream/{self._next_label()}"
                self.streams.append(MemoryStream(arn, self._clock, shards=self._shards))

    def _next_label(self) -> str:
        """Returns the time of the stream's creation, to the millisecond. No label comes twice, even if the clock stands still."""
        moment = datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC).replace(tzinfo=None)
        return (moment + datetime.timedelta(milliseconds=len(self.streams))).isoformat(timespec="milliseconds")

    def disable_stream(self) -> None:
        """Turns the stream off; its records stay readable."""
        with self._lock:
            for stream in self.streams:
                stream.close()

    def create(self, creation: Creation) -> None:
        """Creates the table. Raises TargetNotEmpty if it exists. A stream of any view becomes one of new and old images."""
        with self._lock:
            if self._schema is not None:
                raise TargetNotEmpty(f"there is a table {self._name} already", hint="Name a table that does not exist yet.")
            self._schema = creation.schema
            self._created = self._clock.now()
            self._settings = MemorySettings(creation)
            if creation.request.get("StreamSpecification", {}).get("StreamEnabled"):
                self.enable_stream()

    def apply(self, step: SetupStep) -> None:
        """Sets what the step states."""
        with self._lock:
            self._existing()
            if self._settings is not None:
                self._settings.apply(step)

    def delete(self) -> None:
        """Deletes the table. Its streams stay readable, as DynamoDB's do for a day."""
        with self._lock:
            self._existing()
            self.disable_stream()
            self._items.clear()
            self._schema = None
            self._lives += 1
            self.id = self._next_id()


def _place(key: bytes) -> tuple[int, bytes]:
    return zlib.crc32(key), key
