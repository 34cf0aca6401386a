"""More of what may happen in a random history: batches that Lambda gives up, two witnesses at once, undo, damage and its repair."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, RecordsTrimmed
from backstream.model import moment_arguments
from backstream.model.values import wire
from backstream.model.window import Range
from backstream.operations.base.compact import compact
from backstream.operations.capture.follow import follow
from backstream.operations.capture.redrive import RedriveOptions as RedriveWords
from backstream.operations.capture.redrive import redrive
from backstream.operations.capture.witness import witness
from backstream.operations.inspect import check as checks
from backstream.operations.migrate.request import MigrationContext, MigrationRequest
from backstream.operations.restore import InPlace, NewTable, RestoreRequest, restore
from backstream.operations.setup.identity import Lookup
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.undo import undo_restore
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit.claims import KEYS, NAME, short
from kit.crashing import CrashingStore
from kit.histories import BATCH, DAY, STEPS, SYSTEM, World, changes_of
from kit.mapping import MappingSettings, invocation_record
from kit.records import lambda_record
from kit.schedules import MOST, Step
from kit.watched import WatchedStore

FAILED = "s3://my-backups-failed"
MORE_STEPS: Mapping[str, int] = {
    **STEPS,
    "given_up": 3,
    "redriven": 2,
    "destination_emptied": 1,
    "two_witnesses": 2,
    "undo": 2,
    "checked": 3,
    "repaired": 2,
    "one_row": 3,
    "compaction_is_neutral": 2,
}


class MoreWorld(World):
    """A world whose function has an on-failure destination."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.destination = MemoryStore(self.clock, versioned=False)
        self.gone = False  # whether versions are gone for good
        self.undone = self.repairs = self.clean = self.rows = 0
        init(self.store, self.table, InitOptions(layout=self.layout, failures=FAILED))

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        """With the way to the destination."""
        return TableVault.open(store or self.store, NAME, lambda _url, _owner: self.destination, engines=LocalEngine)

    def versions_expire(self, step: Step) -> None:
        """A lifecycle rule removes what was superseded some time ago. Nobody is harmed but whoever asks for an older row."""
        before = self.clock.now() - [0, 60, 3_600, DAY][step.a % 4]
        since = 0.0
        for each in list(self.store.versions("")):
            if not each.latest and since < before and each.name not in self.attacked and (step.b % 2 or each.name.startswith("_")):
                harmed = self.harmed
                self._forget(each.name, each.version)
                self.harmed = harmed or not each.name.startswith(SYSTEM)
                self.gone = self.gone or self.harmed
            since = each.modified

    # --- what Lambda gives up ---------------------------------------------------------------------------------------------------

    def given_up(self, step: Step) -> None:
        """The mapping leaves one batch of a shard in the destination, and goes on behind it."""
        stream = self.table.stream
        shards = stream.facts().shards
        shard = shards[step.a % len(shards)].id
        try:
            changes = changes_of(stream, shard, self.position.get((stream.arn, shard)))
        except RecordsTrimmed:
            changes = changes_of(stream, shard, None)
        batch = changes[: 1 + step.b % BATCH]
        if not batch:
            return
        self.position[stream.arn, shard] = batch[-1].sequence
        records = [lambda_record(change, stream.arn) for change in batch]
        body = invocation_record(MappingSettings(stream.arn), shard, records, "RetryAttemptsExhausted", 3, self.clock.now())
        if step.c % 4 == 0:
            self._deliver(CrashingStore(self.store, 1 + step.c % 5, after=bool(step.b % 2)), batch)
        self.destination.put(f"aws/lambda/{uuid.UUID(int=step.c + MOST * step.b)}/{shard}/{uuid.UUID(int=step.a)}", body)

    def redriven(self, step: Step) -> None:
        """`redrive`, which may die at a write to the vault or to the destination."""
        vault = self.vault(CrashingStore(self.store, 1 + step.a % 6, after=bool(step.a % 2)) if step.b % 3 == 1 else None)
        where: ObjectStore = self.destination
        if step.b % 3 == 2:
            where = CrashingStore(self.destination, 1 + step.a % 2, after=bool(step.c % 2))
        vault = TableVault(vault.store, vault.catalog, lambda _url, _owner: where, engines=LocalEngine)
        lookup = Lookup(self._described, self._stream)
        self._tolerating(lambda: redrive(vault, RedriveWords(), self.clock, writer="redrive", lookup=lookup))

    def destination_emptied(self, _: Step) -> None:
        """A lifecycle rule empties the destination."""
        for each in list(self.destination.list("")):
            self.destination.delete(each.name)

    # --- two at once ------------------------------------------------------------------------------------------------------------

    def two_witnesses(self, step: Step) -> None:
        """Before one of a reader's writes another one does all of its work, and the table may change meanwhile."""
        left = 1 + step.a % 6

        def before_write(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                if step.b % 3 == 0:
                    self.write(Step("write", step.c, 1, 0))
                if step.b % 5 == 0:
                    self.clock.move(3)
                self._tolerating(other)

        def other() -> None:
            if step.c % 4 == 0:
                follow(self.vault(), self._following(), until_caught_up=True)
            elif step.c % 4 == 1:
                self.function(Step("function", 0, 0, 0))
            elif step.c % 4 == 2:
                compact(self.vault(), self.clock)
            else:
                witness(self.vault(), self._following())

        store = cast("ObjectStore", WatchedStore(self.store, before_write=before_write))
        if step.b % 2:
            self._tolerating(lambda: witness(self.vault(store), self._following()))
        else:
            self._tolerating(lambda: follow(self.vault(store), self._following(), until_caught_up=True))

    # --- undo -------------------------------------------------------------------------------------------------------------------

    def undo(self, step: Step) -> None:
        """A restore in place, taken back at once: the table is as before."""
        now = int(self.clock.now())
        at = self.began + (now - 1 - self.began) * step.a // MOST
        before = self._live()
        flags = step.b % 4
        request = RestoreRequest(
            at=at,
            target=InPlace(),
            expect_deletes=len(KEYS),
            delete_unknown=flags == 1,
            allow_gap=flags == 2,
            keys=[KEYS[step.c % 4]] if step.b % 3 == 0 else [],
        )
        found: list[str | None] = []
        self._tolerating(lambda: found.append(restore(self.vault(), request, self._around(self.table)).undo))
        after = self._live()
        if found and found[0]:
            path = Path(shlex.split(found[0])[-1])
            self._tolerating(
                lambda: undo_restore(path, MigrationRequest(live=True), MigrationContext(self.table, self.clock, self.folder))
            )
            assert self._live() == before, f"undone, it is {short(self._live())}, and it was {short(before)} (then {short(after)})"
            self.undone += 1
        for key in before.keys() | after.keys():
            self.model.set(int(self.clock.now()), key, self._live().get(key))
        self.clock.move(1)

    # --- check ------------------------------------------------------------------------------------------------------------------

    def checked(self, _: Step) -> None:
        """`check` of a vault that nobody has harmed finds nothing."""
        if self.harmed:
            self._tolerating(lambda: checks.check(self.vault(), checks.CheckContext(self.clock), percent=100.0))
            return
        ranges = self.vault().window(self.clock.now()).ranges
        report = checks.check(self.vault(), checks.CheckContext(self.clock), percent=100.0)
        found = [each for each in report.findings if not self._nobody_read(each, ranges)]
        assert found == [], f"nobody has harmed the vault: {found[:3]}"
        self.clean += 1

    def repaired(self, _: Step) -> None:
        """`check --repair` mends all that delete markers hid, and nothing else."""
        if self.gone:
            return
        checks.check(self.vault(), checks.CheckContext(self.clock, markers=self.store))
        ranges = self.vault().window(self.clock.now()).ranges
        again = checks.check(self.vault(), checks.CheckContext(self.clock), percent=100.0)
        found = [each for each in again.findings if not self._nobody_read(each, ranges)]
        assert found == [], f"repaired, and still: {found[:3]}"
        self.repairs += 1
        self.harmed = False
        self.attacked.clear()

    @staticmethod
    def _nobody_read(finding: checks.Finding, ranges: Sequence[Range]) -> bool:
        """Whether the missing change may be of a time that nobody claims: no stream holds it, and nobody came in time.

        The chain tells only between which seconds it was made, and a part of them may be claimed.
        """
        if finding.kind is not checks.FindingKind.LOST or finding.since is None or finding.until is None:
            return False
        since, until = moment_arguments.parse(finding.since, 0), moment_arguments.parse(finding.until, 0)
        return not any(each.since <= since and until <= each.until for each in ranges)

    def compaction_is_neutral(self, step: Step) -> None:
        """A compaction changes nothing of what is claimed."""
        if self.harmed:
            return
        before = self.vault().window(self.clock.now())
        self.compaction(step)
        after = self.vault().window(self.clock.now())
        assert before.ranges == after.ranges, (
            f"claims before {before.ranges}, after {after.ranges}; gaps {before.gaps} {after.gaps}"
        )

    def one_row(self, step: Step) -> None:
        """A row's restore at a claimed second is the model's, or says that it is not."""
        vault = self.vault()
        try:
            ranges = vault.window(self.clock.now()).ranges
        except BackstreamError:
            assert self.harmed, "nothing has happened to the vault, and it cannot say what it holds"
            return
        for at in self._some_of(ranges, step):
            key = KEYS[step.b % 4]
            self.restored += 1
            target = MemoryTable(f"row-{self.restored}", self.clock)
            try:
                report = restore(vault, RestoreRequest(at=at, target=NewTable(target.name), keys=[key]), self._around(target))
            except BackstreamError as error:
                if not (key not in self.model.at(at) and error.message.startswith("no row of")):
                    self._may_fail(at, f"{error.message} {error.hint}")
                continue
            if report.failed:
                self._may_fail(at, str(report.failures))
                continue
            state = {wire.key_of(target.facts().schema, image): image for page in target.scan() for image in page}
            want = {k: v for k, v in self.model.at(at).items() if k == key}
            assert state == want, f"row {key!r} at {at - self.began}: {short(state)}, not {short(want)}"
            self.rows += 1
