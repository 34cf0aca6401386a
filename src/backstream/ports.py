"""The seams of the house: what each part needs of the world, as Protocols with their semantics.

Implementations live in `stores/` and `tables/`; one contract suite per Protocol runs on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from backstream.model.change import Change
from backstream.model.entry import Entry, Scanned
from backstream.model.schema import KeySchema
from backstream.model.settings import TableSettings


class Clock(Protocol):
    """Where time comes from. Seconds since 1970 UTC; sleeping may be cut short by `wake`."""

    def now(self) -> float:
        """The machine's time, in epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


# --- objects ---------------------------------------------------------------------------------------------------------------------


class ObjectInfo(msgspec.Struct, frozen=True):
    """What a store knows of one version besides its bytes. `modified`: epoch seconds at which the *store* received it."""

    name: str
    version: str
    size: int
    modified: float
    metadata: Mapping[str, str]


class StoredObject(msgspec.Struct, frozen=True):
    """One version, whole."""

    info: ObjectInfo
    body: bytes


class ObjectVersion(msgspec.Struct, frozen=True):
    """One row of a version listing. Listings never carry metadata (neither does S3's)."""

    name: str
    version: str
    size: int
    modified: float
    latest: bool
    marker: bool  # a delete marker: no body, no metadata


class ListedObject(msgspec.Struct, frozen=True):
    """One row of a listing of current objects."""

    name: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Named, versioned bytes. Knows nothing of DynamoDB.

    Names are any 1-1,024 bytes of UTF-8, relative to the store's root (bucket and prefix, or folder). Reads see every write that
    has returned (as S3 since 2020). A write is whole or absent, never partial; when it has returned, it survives a crash.
    Nothing here ever removes a version. Safe to call from many threads.

    Errors: `MissingBucket`, `AccessDenied`, `Unavailable` (the same call may go through later), `Failed` for the rest.
    """

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`, `file:///folder` or `memory:`, for people and messages; no trailing slash."""

    def check(self) -> None:
        """Return if the root exists and keeps versions; raise `MissingBucket`, `UnversionedBucket` or `AccessDenied` otherwise."""

    def put(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None, *, if_absent: bool = False) -> str:
        """Add a version on top of `name`; return its version id. Metadata: lower-case names, printable ASCII values, 2 KB in all.

        `if_absent`: only where no current object of that name exists (none ever, or a delete marker on top), atomically;
        `AlreadyExists` otherwise. If the answer to a first attempt was lost, its own write is recognised, not refused.
        """

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """The named version, or the current one. `MissingObject` (with `marker`) if there is none."""

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """At most `length` bytes (1 or more) of the current object, from its byte `start` on; a negative one counts from its end.

        Fewer where the object ends before; one that is shorter than its wanted end is given whole. Asking for what lies behind its
        end is `Failed`, as it is of S3. `MissingObject` as for `get`.
        """

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """As `get`, without the body."""

    def delete(self, name: str) -> str:
        """Put a delete marker on top; return the marker's version id. Also where nothing of that name exists (as S3 does)."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Current objects whose names start with `prefix` (plain text, no folder) and come after `after`, in UTF-8 byte order."""

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """All versions and delete markers of names that start with `prefix`: names in UTF-8 byte order, newest first in each."""

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """The versions and delete markers of this one name, newest first; none where nothing of that name was ever put."""


class Files(Protocol):
    """Named bytes, written once and read whole: where a snapshot goes, and where AWS's exports lie. Every `ObjectStore` is one.

    Names, durability and errors are those of `ObjectStore`; versions are not needed.
    """

    @property
    def url(self) -> str:
        """As of `ObjectStore`."""

    def put(self, name: str, body: bytes) -> str:
        """Make the file durable, whole or not at all, and return its version, `null` where there are none."""

    def get(self, name: str) -> StoredObject:
        """The file. `MissingObject` if there is none."""


# --- images ----------------------------------------------------------------------------------------------------------------------


class Images(Protocol):
    """Where a layout keeps images. The log's entries say where each lives, so that one vault may hold several layouts' images."""

    def keep(self, change: Change) -> Entry:
        """Make the change's image durable and return its entry for the log.

        Idempotent: the same change again gives an entry of the same image. One item's changes come from one thread at a time;
        late ones are welcome. Raises what the store raises; the image is then not durable.
        """


class ScannedImages(Protocol):
    """Where a layout keeps states that were read from the table or an export. Every layout's images are this too."""

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """As `Images.keep`; and whether anything had to be written, since what is kept already is not written again."""


# --- tables ----------------------------------------------------------------------------------------------------------------------


class TableFacts(msgspec.Struct, frozen=True):
    """What DescribeTable says, as far as this tool acts on it; `description` is all of it, as JSON."""

    name: str
    arn: str
    table_id: str
    schema: KeySchema
    status: str  # CREATING, ACTIVE, ...
    stream_arn: str | None  # of the latest stream, enabled or not
    stream_enabled: bool
    stream_view: str | None  # NEW_AND_OLD_IMAGES, ...
    description: bytes
    items: int = 0  # about so many: DynamoDB counts them every six hours


class ScanPage(msgspec.Struct, frozen=True):
    """One answer of a strongly consistent Scan.

    `after`: the key after which the scan goes on, None at its end; `answered`: the service's time when it answered (epoch seconds,
    whole); `units`: the read units that it says it took, None where it does not.
    """

    images: Sequence[bytes]
    after: bytes | None
    answered: float
    units: float | None


class Put(msgspec.Struct, frozen=True):
    """Write this image (DynamoDB JSON), replacing the item that has its key."""

    image: bytes


class Delete(msgspec.Struct, frozen=True):
    """Delete the item of this key (DynamoDB JSON)."""

    keys: bytes


Write = Put | Delete


class Table(Protocol):
    """One DynamoDB table. Images and keys are bytes of DynamoDB JSON, moved as they are. Safe to call from many threads.

    Errors: `MissingTable`, `AccessDenied`, `Unavailable` (throttled or unreachable, after the client's own retries), `Failed`.
    """

    @property
    def name(self) -> str:
        """The table's name."""

    def facts(self) -> TableFacts:
        """What the table is now."""

    def settings(self) -> TableSettings:
        """All that a table like it would need to be set up, normalised: the same settings are equal, whenever they are read.

        The parts are read one after another, not at one moment. A part that may not be read, or that the endpoint does not know, is
        named in `unknown`; AccessDenied is raised only where the table itself may not be described.
        """

    def is_empty(self) -> tuple[bool, float]:
        """Whether a strongly consistent read finds no item, and the server's time (epoch seconds) just before that read."""

    def server_time(self) -> float:
        """The service's time now (epoch seconds, whole): not later than any read that is begun after this has returned."""

    def page(self, segment: int, segments: int, after: bytes | None, limit: int | None = None) -> ScanPage:
        """The next images of one of `segments` disjoint parts that together are the table: at most 1 MB, or `limit` items.

        `after`: the key (DynamoDB JSON) of an item of that part, still there or not, or what the last page gave; None: from the
        first.
        """

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[Sequence[bytes]]:
        """Pages of images, strongly consistent, of one of `segments` disjoint parts that together are the table."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """The images of those of `keys` (any number) that exist, strongly consistent, in no order."""

    def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        """One BatchWriteItem of at most 25 writes, no two on one key. Returns those that were *not* done, to be tried again."""

    def enable_stream(self) -> None:
        """Turn on a stream of new and old images and wait until the table says so."""

    def create(self, schema: KeySchema) -> None:
        """Create the table, on-demand, with this key schema, and wait until it is ACTIVE. `TargetNotEmpty` if the name is taken."""

    def delete(self) -> None:
        """Delete the table with all that is in it, and wait until it is gone; one that is being created is waited for first."""


# --- streams ---------------------------------------------------------------------------------------------------------------------


class Shard(msgspec.Struct, frozen=True):
    """One shard as DescribeStream lists it. `last` is set once the shard is closed: it will get no more records."""

    id: str
    parent: str | None
    first: str | None
    last: str | None


class StreamFacts(msgspec.Struct, frozen=True):
    """A stream and all its shards (every page). `label` names the stream and orders it among the table's streams."""

    arn: str
    label: str
    enabled: bool
    view: str
    shards: Sequence[Shard]


class Page(msgspec.Struct, frozen=True):
    """One GetRecords answer. `server_time`: epoch seconds by the service's clock. `next` is None at the end of a closed shard."""

    changes: Sequence[Change]
    next: str | None
    server_time: float


class ChangeStream(Protocol):
    """One DynamoDB stream. Errors as for `Table`, and those named below."""

    def facts(self) -> StreamFacts:
        """The stream with all its shards, open and closed, that it still lists."""

    def iterator(self, shard: str, after: str | None) -> str:
        """Where to read on: after that sequence number, or at the oldest record held (None).

        `RecordsTrimmed` where the stream no longer holds what follows `after`.
        """

    def read(self, shard: str, iterator: str) -> Page:
        """The next records, in the shard's order. `IteratorExpired`, `RecordsTrimmed`, `WrongStreamView` (no whole images)."""
