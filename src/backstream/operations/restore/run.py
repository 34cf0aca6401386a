"""The restore itself: check, decide for each item, do it or only say so, and account for every item."""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from backstream.engines.embedded import State
from backstream.engines.spill import Spill
from backstream.errors import BackstreamError, Damaged, MissingTable, Refused, TargetNotEmpty
from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.model.fold import newest
from backstream.model.plan import Action, decide
from backstream.operations import safety
from backstream.operations.progress import Progress, Silent
from backstream.operations.restore import leftovers
from backstream.operations.restore.candidates import Candidate, TenantFilter, of_state, scan_into
from backstream.operations.restore.request import Failure, InPlace, NewTable, Request, Restored, ToFile
from backstream.operations.restore.sinks import FileSink, Nowhere, Sink, TableSink, check_file
from backstream.operations.restore.strangers import strangers
from backstream.operations.writing import LeftOut, Writer
from backstream.ports import Clock, Delete, Put, Table

READERS = 16
IN_FLIGHT = 64  # images being read at once: what bounds memory, at 400 KB an item


class Surroundings(msgspec.Struct, frozen=True):
    """What a restore needs besides the vault. `lanes`: see `TableVault.window`; `folder`: where a resumable file would go."""

    table_of: Callable[[str], Table]
    clock: Clock
    lanes: int | None
    folder: Path
    progress: Progress = Silent()


def restore(vault: TableVault, request: Request, around: Surroundings) -> Restored:
    """Bring rows, a tenant or the whole table back to a second.

    OutsideWindow, GapInTheWay, TargetNotEmpty and Refused come before anything is touched. What could not be restored is in
    `failures` of the answer, and, where it was read but not written, in the file `left`.
    """
    return _Restore(vault, request, around).run()


class _Restore:
    def __init__(self, vault: TableVault, request: Request, around: Surroundings) -> None:
        self._vault = vault
        self._request = request
        self._around = around
        self._began = around.clock.now()
        self._window = vault.window(self._began, around.lanes)
        self._counts: Counter[Action] = Counter()
        self._failures: list[Failure] = []
        self._warnings: list[str] = []
        self._tenant = None if request.tenant is None else TenantFilter(vault, request.tenant)
        # A row that the vault never heard of did not exist then: only where the vault is known to have heard of all.
        self._knows_all = self._window.since is not None and not self._window.gaps_before(request.at)

    def run(self) -> Restored:
        safety.check_past(self._request.at, self._began, self._window)
        self._check_target()
        with ExitStack() as stack:
            candidates = self._rows() if self._request.keys else self._table(stack)
            sink = self._sink()
            try:
                self._apply(candidates, sink)
                left = sink.finish()
            except BaseException:
                sink.abandon()
                raise
        return self._report(left)

    # --- what to look at ---

    def _rows(self) -> Iterator[Candidate]:
        """The rows asked for; checked before the first is touched."""
        at, name = self._request.at, self._vault.catalog.table
        keys = list(dict.fromkeys(self._request.keys))
        found = []
        for key in keys:
            then = newest(self._vault.history(key), at)
            warnings = safety.check_item(name, key, at, then, self._window, allow_gap=self._request.allow_gap)
            self._warnings.extend(each for each in warnings if each not in self._warnings)
            found.append((key, then))
        live = self._live_rows(keys) if isinstance(self._request.target, InPlace) else {}
        self._around.progress.phase("rows", len(found))
        return (Candidate(key, then, live.get(key)) for key, then in found)

    def _live_rows(self, keys: list[bytes]) -> dict[bytes, bytes]:
        table = self._live_table()
        return {self._vault.key_of(image): image for image in table.fetch(keys)}

    def _table(self, stack: ExitStack) -> Iterator[Candidate]:
        request, name = self._request, self._vault.catalog.table
        self._warnings += safety.check_table(name, request.at, self._window, allow_gap=request.allow_gap)
        self._around.progress.phase("reading the change log", None)
        state = stack.enter_context(State(self._vault, request.at, self._around.progress.advance))
        self._check_damage(state.damaged)
        live = None
        if isinstance(request.target, InPlace):
            self._around.progress.phase("reading the live table", None)
            live = stack.enter_context(Spill(state.partitions))
            scan_into(self._vault, self._live_table(), live)
        self._failures += strangers(self._vault, state)
        self._around.progress.phase("rows", None)
        return of_state(state, live)

    def _check_damage(self, damaged: list[Damaged]) -> None:
        """Where a part of the log cannot be read, a live row may be newer than what is known: then it is not touched."""
        self._failures += [Failure(error.message.partition(":")[0], error.message) for error in damaged]
        if damaged and isinstance(self._request.target, InPlace) and not self._request.allow_gap:
            raise Refused(
                f"{len(damaged)} objects of the change log cannot be read, the first: {damaged[0].message}",
                hint="Restore into a new table (--to) or a file, or use --allow-gap to restore in place what is known.",
            )
        self._knows_all = self._knows_all and not damaged

    def _live_table(self) -> Table:
        table = self._around.table_of(self._vault.catalog.table)
        if table.facts().schema != self._vault.catalog.key_schema:
            raise Refused(f"the live table {table.name} has another key schema than the vault's", hint="Restore --to a new table.")
        return table

    # --- where to put it ---

    def _check_target(self) -> None:
        target = self._request.target
        if isinstance(target, ToFile):
            check_file(target.path)
        elif isinstance(target, NewTable):
            self._check_new(self._around.table_of(target.name))

    def _check_new(self, table: Table) -> None:
        """A table that is there already is accepted if it is empty and has the same key schema."""
        if not _exists(table):
            return
        if table.facts().schema != self._vault.catalog.key_schema:
            raise TargetNotEmpty(f"the table {table.name} exists, with another key schema", hint="Give --to another name.")
        if not table.is_empty()[0]:
            raise TargetNotEmpty(f"the table {table.name} exists and holds items", hint="Give --to another name.")

    def _sink(self) -> Sink:
        target = self._request.target
        if self._request.dry_run:
            return Nowhere()
        if isinstance(target, ToFile):
            return FileSink(target.path)
        name = target.name if isinstance(target, NewTable) else self._vault.catalog.table
        table = self._around.table_of(name)
        if isinstance(target, NewTable) and not _exists(table):
            table.create(self._vault.catalog.key_schema)
        return TableSink(Writer(table, self._around.clock, patience=self._request.patience))

    # --- doing it ---

    def _apply(self, candidates: Iterator[Candidate], sink: Sink) -> None:
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            under_way: deque[tuple[Candidate, Future[bytes | None]]] = deque()
            for candidate in candidates:
                if self._tenant is not None and not self._tenant.wants(candidate):
                    continue
                under_way.append((candidate, pool.submit(self._image_then, candidate)))
                if len(under_way) >= IN_FLIGHT:
                    self._do(*under_way.popleft(), sink)
            while under_way:
                self._do(*under_way.popleft(), sink)

    def _image_then(self, candidate: Candidate) -> bytes | None:
        then = candidate.then
        return None if then is None or then.removed else self._vault.image(then)

    def _do(self, candidate: Candidate, image: Future[bytes | None], sink: Sink) -> None:
        self._around.progress.advance(1)
        try:
            then = image.result()
            action = decide(then, candidate.live)
        except BackstreamError as error:
            self._failures.append(Failure(candidate.key.decode(), error.message))
            return
        if action is Action.DELETE and candidate.then is None and not self._knows_all:
            action = Action.ALONE
        if then is None and candidate.live is None:
            return  # it was not, and it is not
        self._counts[action] += 1
        if action is Action.PUT and then is not None:
            sink.add(Put(then))
        elif action is Action.DELETE:
            sink.add(Delete(candidate.key))

    # --- the account ---

    def _report(self, left: Sequence[LeftOut]) -> Restored:
        request, target = self._request, self._request.target
        name = target.name if isinstance(target, NewTable) else self._vault.catalog.table
        puts = sum(isinstance(each.write, Put) for each in left)
        failures = [*self._failures, *map(leftovers.named, left)]
        report = Restored(
            table=self._vault.catalog.table,
            at=moment.iso(request.at),
            target=str(target.path) if isinstance(target, ToFile) else name,
            put=self._counts[Action.PUT] - puts,
            deleted=self._counts[Action.DELETE] - (len(left) - puts),
            unchanged=self._counts[Action.ALONE],
            failed=len(failures),
            dry_run=request.dry_run,
            seconds=round(self._around.clock.now() - self._began, 3),
            failures=failures,
            warnings=self._warnings,
        )
        return self._keep_left(report, name, left) if left else report

    def _keep_left(self, report: Restored, name: str, left: Sequence[LeftOut]) -> Restored:
        path = leftovers.path_for(uuid.uuid4().hex[:8], self._around.folder)
        leftovers.save(path, report, name, left)
        return msgspec.structs.replace(report, left=str(path))


def _exists(table: Table) -> bool:
    try:
        table.facts()
    except MissingTable:
        return False
    return True
