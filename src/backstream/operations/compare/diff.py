"""`diff`: compares one live table with another, in both directions, and makes the other like the first on request.

Both are read by parallel scans. Each item's key and a fingerprint of 16 bytes are put on disk, cut by the hash of the key. So one
partition at a time is compared in memory. If fingerprints differ, the item is only a suspect: it is fetched from both tables,
compared by value, and looked at again: see `recheck`.

A repair looks once more at both. An item that still differs in the same way is written into the other table, on condition that the
item there is unchanged. Nothing else is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Pairs, partitions_for
from backstream.errors import BackstreamError
from backstream.model import moment
from backstream.model.changes.comparison import DIFFERENCES, ComparisonKind, PairObservation, face
from backstream.model.values import wire
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate_limited_scan import PacedTable, Stopped, side_by_side
from backstream.operations.bulk.table_pair import pair_of
from backstream.operations.bulk.writer import BulkWriter, LeftOut
from backstream.operations.compare.recheck import (
    PATIENCE,
    ComparedRows,
    Suspects,
    by_verdict,
    counted,
    named,
    read_again,
    until_still,
)
from backstream.operations.restore import Failure
from backstream.operations.restore.targets.conditional_writer import CONFLICT, ConditionalWriter
from backstream.ports import MOST_AT_ONCE, Clock, ConditionalWrite, Delete, Put, ScannedTable, Write

LEAST_PARTITIONS = 256  # DescribeTable's count is hours old, and may be 0 of a table that is full by now
CHANGED = "somebody changed it while it was repaired"

FINGERPRINT = 16  # bytes; after them comes the image's length, in four

Found = tuple[dict[bytes, bytes], dict[bytes, bytes]]  # images in the one table and in the other, by canonical key


class _Unseen(msgspec.Struct, frozen=True):
    """An item that nobody has looked at yet. `size`: of its images in both tables, in bytes, as far as that is known."""

    size: int = 0


class Diffed(ComparedRows, frozen=True, kw_only=True):
    """The result of a comparison of two tables. `table2` is the copy; `arn` and `arn2` identify the tables.

    `repaired`: the number of differing rows that `table2` now has like `table`; rows that could not be repaired count as `failed`.
    `read_units`: the read units consumed in both tables.
    """

    table2: str
    arn: str
    arn2: str
    read_units: float

    @property
    def mended(self) -> bool:
        """True if rows differed, and none does any more."""
        return self.repaired > 0 and self.repaired == self.differences and not self.failed


class How(msgspec.Struct, frozen=True):
    """The options of a comparison.

    `keys`: canonical ones, to compare only these, None for all; `max_units`: read units a second at most, of each table.
    """

    keys: Sequence[bytes] | None = None
    segments: int = 4
    max_units: float | None = None
    patience: float = PATIENCE
    repair: bool = False


class DiffContext(msgspec.Struct, frozen=True):
    """The context of a comparison."""

    clock: Clock
    progress: Progress = Silent()
    memory: Memory = Memory()


def diff(table: ScannedTable, other: ScannedTable, how: How, around: DiffContext) -> Diffed:
    """Compares two tables, or what files hold with a table. It writes nothing, except for a repair: then into `other` alone.

    Raises the errors of `pair_of` before anything is read, and the tables' errors. A row that cannot be compared, or mended, is
    named in `failures`.
    """
    with ExitStack() as stack:
        return _Diff(table, other, how, around, stack).run()


class _Diff:
    def __init__(self, table: ScannedTable, other: ScannedTable, how: How, around: DiffContext, stack: ExitStack) -> None:
        self._began = around.clock.now()
        self._pair = pair_of(table, other)
        self._other = other
        self._how = how
        self._clock = around.clock
        self._progress = around.progress
        self._memory = around.memory
        self._stack = stack
        self._sides = [PacedTable(each, around.clock, max_units=how.max_units) for each in (table, other)]
        self._same = 0
        self._nowhere = 0
        self._failures: dict[bytes, str] = {}

    def key_of(self, image: bytes) -> bytes:
        """Returns the canonical key of an item of both tables."""
        return wire.key_of(self._pair.schema, image)

    def run(self) -> Diffed:
        left = until_still(self._first_look(), self._look_again, self._clock, self._progress, self._how.patience)
        repaired = 0
        if self._how.repair and left.count:
            left, repaired = self._repair(left)
        return self._report(left, repaired)

    # --- looking ---

    def _first_look(self) -> Suspects[PairObservation]:
        """Returns the items that differ, as they are now in both tables."""
        keys = self._how.keys
        return self._look_at(self._differing() if keys is None else ((key, _Unseen()) for key in dict.fromkeys(keys)))

    def _look_again(self, suspects: Suspects[PairObservation]) -> Suspects[PairObservation]:
        self._progress.phase("reading again what differs", suspects.count)
        return self._look_at(suspects)

    def _look_at(self, items: Iterable[tuple[bytes, PairObservation | _Unseen]]) -> Suspects[PairObservation]:
        left = self._stack.enter_context(closing(Suspects(PairObservation, self._memory.buffer)))
        for batch, found in read_again(items, self._find, self._memory.bodies, _weight):
            self._progress.advance(len(batch))
            self._look(batch, found, left)
        return left

    def _find(self, batch: Sequence[tuple[bytes, PairObservation | _Unseen]]) -> Found:
        keys = [key for key, _ in batch]
        one, two = ({self.key_of(image): image for image in side.fetch(keys)} for side in self._sides)
        return one, two

    def _look(
        self, batch: Sequence[tuple[bytes, PairObservation | _Unseen]], found: Found, into: Suspects[PairObservation]
    ) -> None:
        """Takes the items that are equal by now, and hands on the others."""
        for key, seen in batch:
            before = seen if isinstance(seen, PairObservation) else None
            try:
                sight = face(found[0].get(key), found[1].get(key), before)
            except BackstreamError as error:
                self._failures[key] = error.message
                continue
            if sight is None:
                self._nowhere += before is None
            elif sight.kind is ComparisonKind.SAME:
                self._same += 1
            else:
                into.add(key, sight)

    # --- the whole tables ---

    def _differing(self) -> Iterator[tuple[bytes, _Unseen]]:
        """Yields the items whose fingerprints differ, or that only one table has; the others are the same."""
        rows = max(each.items for each in self._pair.facts)
        count, buffer = max(LEAST_PARTITIONS, partitions_for(rows)), self._memory.buffer // 2
        with Pairs(count, buffer=buffer) as one, Pairs(count, buffer=buffer) as two:
            self._scan(one, two)
            self._progress.phase("comparing rows", None)
            for number in range(count):
                yield from self._unequal(dict(one.read(number)), dict(two.read(number)))

    def _unequal(self, one: Mapping[bytes, bytes], two: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, _Unseen]]:
        self._progress.advance(len(one.keys() | two.keys()))
        for key in one.keys() | two.keys():
            mine, theirs = one.get(key, b""), two.get(key, b"")
            if mine[:FINGERPRINT] == theirs[:FINGERPRINT]:
                self._same += 1
            else:
                yield key, _Unseen(sum(int.from_bytes(each[FINGERPRINT:]) for each in (mine, theirs)))

    def _scan(self, *spills: Pairs) -> None:
        """Scans both tables at once, each with the requested number of segments."""
        segments = self._how.segments
        names = " and ".join(each.name for each in self._pair.facts)
        self._progress.phase(f"reading {names}", sum(each.items for each in self._pair.facts) or None)

        def read(part: int, stopped: Stopped) -> None:
            segment, side = divmod(part, 2)
            for page in self._sides[side].pages(segment, segments, None, stopped):
                for image in page.images:
                    spills[side].add(self.key_of(image), wire.fingerprint(image) + len(image).to_bytes(4))
                self._progress.advance(len(page.images))

        side_by_side(2 * segments, read)

    # --- repairing ---

    def _repair(self, suspects: Suspects[PairObservation]) -> tuple[Suspects[PairObservation], int]:
        """Returns the differences after the repair, and the number of mended items."""
        left = self._look_again(suspects)  # what moves now is in flight, and not ours to write
        suspects.close()
        self._progress.phase("repairing", None)
        target = self._sides[1]
        guard = ConditionalWriter(self, target)
        writer = BulkWriter(guard, self._clock, at_once=MOST_AT_ONCE, progress=self._progress.advance)
        sent = 0
        try:
            for key, sight in left:
                if sight.verdict in DIFFERENCES:
                    write: Write = Delete(key) if sight.live is None else Put(sight.live)
                    writer.add(ConditionalWrite(write, sight.other))
                    sent += 1
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
        not_done = [*writer.left_out, *guard.conflicts]
        for each in not_done:
            self._not_mended(each)
        return left, sent - len(not_done)

    def _not_mended(self, left: LeftOut[ConditionalWrite]) -> None:
        key = self.key_of(left.write.body)
        self._failures[key] = CHANGED if left.reason == CONFLICT else left.reason

    # --- the account ---

    def _report(self, suspects: Suspects[PairObservation], repaired: int) -> Diffed:
        keys = by_verdict(suspects)
        one, two = self._pair.facts
        return Diffed(
            table=one.name,
            table2=two.name,
            arn=one.arn,
            arn2=two.arn,
            at=moment.iso(self._began),
            same=self._same,
            **counted(keys),
            failed=len(self._failures),
            keys=named(keys),
            read_units=sum(side.units for side in self._sides),
            seconds=round(self._clock.now() - self._began, 3),
            failures=[Failure(key.decode(), why) for key, why in self._failures.items()],
            warnings=list(self._warnings(keys)),
            repaired=repaired,
        )

    def _warnings(self, found: Mapping[ComparisonKind, Sequence[bytes]]) -> Iterator[str]:
        """Yields the warnings about the counts."""
        if self._nowhere and self._how.keys is not None:
            yield f"{self._nowhere:,} of the keys are in neither table"
        if found[ComparisonKind.IN_FLIGHT]:
            yield f"rows in flight changed while they were compared, for {self._how.patience:g} s: nothing is said of them"


def _weight(seen: PairObservation | _Unseen) -> int:
    """Returns the bytes of the images that an observation holds, or that a first one will."""
    return seen.size if isinstance(seen, _Unseen) else sum(len(image) for image in (seen.live, seen.other) if image)
