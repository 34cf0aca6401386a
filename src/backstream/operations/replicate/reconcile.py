"""Makes items of one table equal to another's, however late, in whatever order and how often their changes arrive.

A change is taken as news that an item has changed, not as its present state. The source gives the present state: its live item is
the result of the change with the greatest sequence number. So a change that comes again, or after a later one, does no harm, and no
second record of the last write must be kept beside the items.
"""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from backstream.errors import BackstreamError, Refused, Unavailable
from backstream.model.changes.change import Change, Order
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.ports import ConditionalWrite, Delete, Put, Table

TOGETHER = 100  # items looked at together: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
ROUNDS = 30  # of looking and writing, until an item that changes all the time is left to its next change
REMEMBERED = 100_000
WRITTEN_TOGETHER = 2  # calls of `write_each` at a time, from whatever threads: 32 writes

Images = Mapping[bytes, bytes | None]  # by key; None where there is no such item


class Deletes(enum.StrEnum):
    """The deletes that reach the target."""

    ALL = "all"
    NOT_TTL = "not-ttl"  # not those that DynamoDB makes when an item's time to live is over
    NONE = "none"


class News(msgspec.Struct, frozen=True):
    """News of an item, by its canonical key.

    `left`: the image that stays in the target if the source no longer has the item; None: it is deleted there too. `order`: the
    change's order; None if the news comes from a scan.
    """

    key: bytes
    left: bytes | None = None
    order: Order | None = None


class ReconcileCounts:
    """Counts of finished items. Safe to count from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.put = 0
        self.deleted = 0
        self.unchanged = 0  # as they should be already

    def add(self, put: int = 0, deleted: int = 0, unchanged: int = 0) -> None:
        """Adds to the counts."""
        with self._lock:
            self.put += put
            self.deleted += deleted
            self.unchanged += unchanged


class Reconciler:
    """Keeps `target` like `source`, item by item. Safe to call from many threads and from many processes at once.

    The target is read before the source, and is written only if it is still unchanged. Then the source is read once more: the last
    writer has seen afterwards that the source is still the same.
    """

    def __init__(
        self,
        source: Table,
        target: Table,
        schema: KeySchema,
        deletes: Deletes,
        *,
        source_id: str = "",
    ) -> None:
        """`source_id`: the id of the source; a table of its name that was created later has another one."""
        self._source_id = source_id
        self._source = source
        self._target = target
        self._schema = schema
        self._deletes = deletes
        self._left: OrderedDict[bytes, Order] = OrderedDict()
        self._lock = threading.Lock()
        self._writing = threading.BoundedSemaphore(WRITTEN_TOGETHER)
        self.counts = ReconcileCounts()

    # --- what one hears ---

    def news(self, changes: Sequence[Change]) -> News:
        """Returns the news from one item's changes, in any order."""
        newest = max(changes, key=lambda change: change.order)
        gone = newest.event == "REMOVE" and self._replicated(newest)
        left = None if gone or self._deletes is Deletes.ALL else newest.new or newest.old
        return News(self._key(newest.keys), left, newest.order)

    def found(self, image: bytes) -> News:
        """Returns the news of an item that a scan of the source found."""
        return News(self._key(image), None if self._deletes is Deletes.ALL else image)

    def _replicated(self, change: Change) -> bool:
        return self._deletes is Deletes.ALL or (self._deletes is Deletes.NOT_TTL and change.actor is None)

    # --- what is done about it ---

    def settle(self, heard: Sequence[News]) -> Mapping[bytes, BackstreamError]:
        """Makes these items, no two alike, equal in the target and the source.

        Returns those that are not yet equal, by key, with the error.
        """
        failed: dict[bytes, BackstreamError] = {}
        for start in range(0, len(heard), TOGETHER):
            failed |= self._settle({news.key: news for news in heard[start : start + TOGETHER]})
        return failed

    def _settle(self, heard: Mapping[bytes, News]) -> dict[bytes, BackstreamError]:
        open_, failed, changed = dict(heard), dict[bytes, BackstreamError](), set[bytes]()
        try:
            there = self._look(self._target, open_)
            for _ in range(ROUNDS):
                wanted = self._unlike(open_, self._look(self._source, open_), there)
                self._check_source(wanted)
                written = self._write(wanted, there, failed)
                changed |= written.keys()
                open_ = {key: heard[key] for key in wanted if key not in failed}
                if not open_:
                    break
                # Items written here are known; if somebody else has written one, it is looked at again.
                there = written | self._look(self._target, {key: heard[key] for key in open_.keys() - written.keys()})
            else:
                why = Unavailable("it is written all the time, and the target is behind it", hint="It is tried again.")
                failed |= dict.fromkeys(open_, why)
        except BackstreamError as error:
            failed |= dict.fromkeys(open_, error)
        self.counts.add(unchanged=len(heard.keys() - changed - failed.keys()))
        return failed

    def _check_source(self, wanted: Images) -> None:
        """Raises Refused if items would be deleted only because another table, which lacks them, has the source's name now.

        Called after the source was read. An id never comes back: if it is the same now, the same table was read.
        """
        if not self._source_id or all(image is not None for image in wanted.values()):
            return
        now = self._source.facts().table_id
        if now != self._source_id:
            raise Refused(
                f"the table {self._source.name} was deleted and created again (its id was {self._source_id}, and is {now}): "
                "nothing is deleted from the replica on its word",
                hint=f"Run `backstream diff` of {self._source.name} and the replica, then `replicate` again.",
            )

    def _unlike(self, heard: Mapping[bytes, News], here: Images, there: Images) -> dict[bytes, bytes | None]:
        """Returns the target's items that differ from their wanted state, with that state."""
        wanted = {key: self._wanted(news, here[key], there[key]) for key, news in heard.items()}
        return {key: image for key, image in wanted.items() if not wire.same_state(image, there[key])}

    def _wanted(self, news: News, here: bytes | None, there: bytes | None) -> bytes | None:
        if here is not None or news.left is None:
            return here
        # A delete that is not replicated. The source no longer shows the last state, so here the order of the changes decides.
        if news.order is None:
            return news.left if there is None else there
        return news.left if self._is_newest(news.key, news.order) else there

    def _is_newest(self, key: bytes, order: Order) -> bool:
        """True if nothing newer is known of this item lately."""
        with self._lock:
            newest = max(order, self._left.pop(key, order))
            self._left[key] = newest
            if len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
        return newest == order

    def _write(self, wanted: Images, there: Images, failed: dict[bytes, BackstreamError]) -> dict[bytes, bytes | None]:
        """Writes the items that are still unchanged. Returns the written ones with their images; errors go to `failed`."""

        writes = [ConditionalWrite(Delete(key) if image is None else Put(image), there[key]) for key, image in wanted.items()]
        with self._writing:
            outcomes = self._target.write_each(writes)
        written: dict[bytes, bytes | None] = {}
        for (key, image), outcome in zip(wanted.items(), outcomes, strict=True):
            if isinstance(outcome, BackstreamError):
                failed[key] = outcome
            elif outcome:
                written[key] = image
        removed = sum(1 for image in written.values() if image is None)
        self.counts.add(put=len(written) - removed, deleted=removed)
        return written

    def _look(self, table: Table, heard: Mapping[bytes, News]) -> dict[bytes, bytes | None]:
        found = {self._key(image): image for image in table.fetch([news.key for news in heard.values()])} if heard else {}
        return {key: found.get(key) for key in heard}

    def _key(self, image: bytes) -> bytes:
        return wire.key_of(self._schema, image)
