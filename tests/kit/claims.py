"""What a vault claims of a table, beside a plain model of that table: the oracle of random histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.restore import InPlace, NewTable, RestoreContext, RestoreRequest, restore
from backstream.ports import ObjectStore, Table
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.dictmodel import DictModel
from kit.schedules import MOST, Step

NAME = "items"
SCHEMA = KeySchema(KeyAttribute("id", "S"))
KEYS = [f'{{"id":{{"S":"item-{number}"}}}}'.encode() for number in range(4)]
ASKED = 3  # claimed seconds that one look compares


class Claims:
    """A table, its vault, and the model of it. `promised`: how many claimed seconds have been compared so far; `deleted`: how many
    rows were deleted in place; `harmed`: whether versions are gone, or objects hidden.
    """

    def __init__(self, shards: int, folder: Path) -> None:
        """`folder`: where restores keep what they need to go on, and to be undone."""
        self.folder = folder
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.model = DictModel()
        self.table = MemoryTable(NAME, self.clock, SCHEMA, shards=shards, page_items=2)
        self.harmed = False
        self.began = 0
        self.promised = self.restored = self.deleted = 0

    def look(self, step: Step) -> None:
        """Some of the seconds that `status` claims: their restore equals the model, or says what is wrong with it."""
        try:
            ranges = self.vault().window(self.clock.now()).ranges
        except BackstreamError:
            assert self.harmed, "nothing has happened to the vault, and it cannot say what it holds"
            return
        now = int(self.clock.now())
        assert all(each.until < now for each in ranges), f"{ranges} claims the future (now: {now})"
        for at in self._some_of(ranges, step):
            state = self._state_at(at)
            assert state is None or state == self.model.at(at), (
                f"second {at - self.began} is in {[(each.since - self.began, each.until - self.began) for each in ranges]}: "
                f"restored {short(state)}, it was {short(self.model.at(at))}"
            )
            self.promised += 1

    def _some_of(self, ranges: Sequence[object], step: Step) -> Iterator[int]:
        spans = [(each.since, each.until) for each in ranges]  # type: ignore[attr-defined]
        if not spans:
            return
        yield spans[-1][1]
        for number in (step.a, step.b, step.c)[: ASKED - 1]:
            since, until = spans[number % len(spans)]
            # Near one of its ends, where claims go wrong, or anywhere.
            yield [since, until, since + (until - since) * number // MOST][number % 3]

    def _state_at(self, at: int) -> Mapping[bytes, bytes] | None:
        """The table restored to that second; None where the restore says that it is not whole, which only a harmed vault's may."""
        self.restored += 1
        target = MemoryTable(f"restored-{self.restored}", self.clock)
        try:
            report = restore(self.vault(), RestoreRequest(at=at, target=NewTable(target.name)), self._around(target))
        except BackstreamError as error:
            self._may_fail(at, f"{error.message} {error.hint}")
            return None
        if report.failed:
            self._may_fail(at, str(report.failures))
            return None
        return {wire.key_of(SCHEMA, image): image for page in target.scan() for image in page}

    def _may_fail(self, at: int, why: str) -> None:
        assert self.harmed, f"second {at - self.began} is claimed, and its restore is not whole: {why}"

    def in_place(self, step: Step) -> None:
        """To any second since the beginning, claimed or not: no row that existed then is deleted."""
        now = int(self.clock.now())
        at = self.began + (now - 1 - self.began) * step.a // MOST
        self._in_place(at, claimed=self._is_claimed(at))

    def _in_place(self, at: int, *, claimed: bool) -> None:
        before, then = self._live(), self.model.at(at)
        request = RestoreRequest(at=at, target=InPlace(), expect_deletes=len(KEYS), delete_unknown=False)
        try:
            report = restore(self.vault(), request, self._around(self.table))
        except BackstreamError:
            report = None  # refused, or broken off: what it did by then is looked at all the same
        after = self._live()
        for key in before.keys() - after.keys():
            self.deleted += 1
            assert key not in then, f"{key.decode()} was deleted in place, though it existed at second {at - self.began}"
        if report is not None and not report.failed and claimed and not self.harmed:
            assert after == then, f"second {at - self.began} is claimed: {short(after)}, not {short(then)}"
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                self.model.set(int(self.clock.now()), key, after.get(key))

    def _is_claimed(self, at: int) -> bool:
        try:
            return any(each.since <= at <= each.until for each in self.vault().window(self.clock.now()).ranges)
        except BackstreamError:
            return False

    def _live(self) -> dict[bytes, bytes]:
        return {wire.key_of(SCHEMA, image): image for page in self.table.scan() for image in page}

    def _around(self, table: Table) -> RestoreContext:
        return RestoreContext(lambda _name: table, self.clock, self.folder)

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        """The table's vault as it is now."""
        return TableVault.open(store or self.store, NAME, engines=LocalEngine)


def short(state: Mapping[bytes, bytes]) -> list[str]:
    return sorted(image.decode() for image in state.values())
