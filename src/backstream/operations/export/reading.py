"""Reads what is to be exported, and spools it: the changes of a window, or the items of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from backstream.errors import BackstreamError, Damaged, PartlyDone
from backstream.model import moment
from backstream.model.columns.schema import ColumnSchema
from backstream.operations.bulk.collector import few_collections
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext, ChangeWindow, SeenChange
from backstream.operations.export.spool import Spool
from backstream.operations.restore import Into, RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.tabular.batches import BatchBuilder
from backstream.ports import Put, Write
from backstream.vault.table_vault import TableVault

ROWS, BYTES = 4_000, 8 << 20  # of a batch at most
HOUR = 3_600_000_000  # microseconds
NAMED = 20  # damaged images that a message names


class DamageNotes:
    """Notes what cannot be read. Nothing is written if anything is damaged, unless `skip`."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.count = 0
        self.named: list[str] = []

    def __call__(self, error: BackstreamError) -> None:
        """Notes one."""
        self.add(error.message)

    def add(self, what: str) -> None:
        """Notes one."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(what)

    def check(self) -> None:
        """Raises PartlyDone if something is damaged that may not be skipped."""
        if self.count and not self._skip:
            more = f", and {self.count - len(self.named):,} more" if self.count > len(self.named) else ""
            raise PartlyDone(
                f"images that cannot be read: {'; '.join(self.named)}{more}",
                hint="Nothing was written. --skip-damaged exports all others, and names these.",
            )


def hour_folder(micros: int) -> str:
    """Returns `dt=2026-11-23/hour=04`: the folder of a change's hour, as the log itself has it."""
    day, hour = moment.day_and_hour(micros // 1_000_000)
    return f"dt={day}/hour={hour}"


class ExportedChanges:
    """Spools the changes of a window, in the order of time. `builder`: its schema covers all of them in the end."""

    def __init__(
        self,
        vault: TableVault,
        span: ChangeWindow,
        around: ChangesContext,
        schema: ColumnSchema,
        damage: DamageNotes,
        *,
        allow_gap: bool,
    ) -> None:
        self._changes = Changes(vault, span, ChangeCriteria(), around, allow_gap=allow_gap)
        self._damage = damage
        self._progress = around.progress
        self.builder = BatchBuilder(schema, damage)
        self.certainty = self._changes.certainty

    @property
    def warnings(self) -> list[str]:
        """Descriptions of unreadable objects; complete once all changes were taken."""
        return self._changes.warnings

    @property
    def doubtful(self) -> int:
        """The number of changes that lack an image."""
        return self._changes.doubtful

    def into(self, spool: Spool) -> None:
        """Spools all of them. Raises the errors of `Changes.each`, except those that `DamageNotes` notes."""
        with few_collections():
            for label, seen in _together(self._each()):
                spool.add(label, self.builder.changes(seen, [self._actor(each) for each in seen]))
                self._progress.advance(len(seen))

    def _actor(self, seen: SeenChange) -> str | None:
        if seen.entry.actor is None and self._changes.actors.knows_none:
            return None
        by = self._changes.actors.first(seen)
        return None if by is None else by.actor

    def _each(self) -> Iterator[SeenChange]:
        for seen in self._changes.known(briefly=True):
            if seen.gone:
                self._damage.add(f"the change {seen.sequence} of {seen.key.decode()}: {seen.doubt}")
            yield seen


def _together(found: Iterator[SeenChange]) -> Iterator[tuple[str, list[SeenChange]]]:
    """Yields changes of one hour, many at a time, with their hour's folder."""
    together, size, ends = list[SeenChange](), 0, 0
    for seen in found:
        micros = seen.entry.micros
        if together and (micros >= ends or len(together) == ROWS or size > BYTES):
            yield hour_folder(together[0].micros), together
            together, size = [], 0
        if not together:
            ends = (micros // HOUR + 1) * HOUR
        together.append(seen)
        size += len(seen.new or b"") + len(seen.old or b"")
    if together:
        yield hour_folder(together[0].micros), together


class ExportedState:
    """Spools the items of one moment: a restore, with all of its checks, into the spool."""

    def __init__(self, vault: TableVault, at: int, around: RestoreContext, schema: ColumnSchema, damage: DamageNotes) -> None:
        self._vault = vault
        self._at = at
        self._around = around
        self._damage = damage
        self.builder = BatchBuilder(schema, damage)

    def into(self, spool: Spool, *, allow_gap: bool) -> Restored:
        """Spools all of them and returns the restore's report. Raises its errors."""
        sink = SpoolSink(lambda images: spool.add("", self.builder.states(images)), self._vault.key_of)
        return self.by(sink, allow_gap=allow_gap)

    def by(self, sink: SpoolSink, *, allow_gap: bool) -> Restored:
        """Gives all of them to a sink and returns the restore's report. Raises its errors."""
        report = restore(
            self._vault, RestoreRequest(at=self._at, target=Into("an export", lambda: sink), allow_gap=allow_gap), self._around
        )
        for each in report.failures:
            self._damage.add(f"{each.what}: {each.why}")
        self._damage.count += report.failed - len(report.failures)
        return report


class SpoolSink:
    """A restore's sink. See `operations.restore.targets.sinks.Sink`. `take`: takes images, each with its canonical key."""

    gave_up_reason = ""
    touched = False

    def __init__(self, take: Callable[[list[tuple[bytes, bytes]]], None], key_of: Callable[[bytes], bytes]) -> None:
        self._take = take
        self._key_of = key_of
        self._together: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._left: list[LeftOut[Write]] = []

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - an export is always new
        """Takes an item; a moment's state holds no deletes."""
        if not isinstance(write, Put):
            return
        self._together.append((self._key_of(write.image), write.image))
        self._size += len(write.image)
        if len(self._together) == ROWS or self._size > BYTES:
            self._flush()

    def _flush(self) -> None:
        together, self._together, self._size = self._together, [], 0
        try:
            self._take(together)
        except Damaged:
            for key, image in together:
                self._take_one(key, image)

    def _take_one(self, key: bytes, image: bytes) -> None:
        try:
            self._take([(key, image)])
        except Damaged as error:
            self._left.append(LeftOut(Put(image), error.message))

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Returns the images that are no items."""
        if self._together:
            self._flush()
        return self._left

    def abandon(self) -> None:
        """Stops here."""
        self._together = []
