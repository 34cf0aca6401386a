"""Sets up the table: a new one is created with the settings in its catalog, and gets the rest of them once its items are in.

A setting that cannot be set does not stop a restore: it goes to the to-do list, with the command that sets it. `model.tables.setup`
makes the plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.errors import AccessDenied, BackstreamError, Failed, MissingTable, TargetNotEmpty, Unavailable
from backstream.model import moment
from backstream.model.counts import counted
from backstream.model.tables import grants
from backstream.model.tables.creation import Creation
from backstream.model.tables.grants import Grant
from backstream.model.tables.setup import DYNAMODB, Setup, SetupStep, TableNames, Todo, after_import, plan
from backstream.model.tables.setup_words import words_of
from backstream.model.values import wire
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.restore.report import TargetOutcome
from backstream.operations.restore.request import RestoreJob
from backstream.operations.restore.targets.sinks import Sink
from backstream.ports import Clock, Put, Table, Write
from backstream.vault import catalog as catalogs
from backstream.vault import catalog_versions
from backstream.vault.catalog import Catalog

TTL_CAUTION = "Where time to live is on, DynamoDB deletes rows that have expired, also restored ones."
TTL_DELAY = 7 * 86_400  # seconds: DynamoDB deletes expired rows within a few days
TTL_REACH = 5 * 365 * 86_400  # seconds: what expired before that, time to live leaves alone


class TableSetup:
    """The settings of one restore's target: `prepare`, `create`, fill the sink that `watching` gives, `finish`.

    Unprepared it plans nothing: a live table keeps its settings. `indexes`, `accept_settings`: see `NewTable`. `notes`: what an
    operator should know; `settings`: when the settings were kept; `grants`: whom and what they name; `todo`: what is left after
    `finish_import`, tried and refused first.
    """

    def __init__(self, job: RestoreJob, name: str, *, indexes: bool = True, accept_settings: bool = False) -> None:
        self._vault = job.vault
        self._at = job.request.at
        self._table_of = job.around.table_of
        self._clock = job.around.clock
        self._name = name
        self._indexes = indexes
        self._accept = accept_settings
        self._kept = job.vault.catalog
        self._plan: Setup | None = None
        self._rows: _ExpiredRowCounter | None = None
        self.todo: list[Todo] = []
        self.notes: list[str] = []
        self.settings: str | None = None
        self.grants: list[Grant] = []

    def prepare(self, *, settings_only: bool = False, bare: bool = False) -> None:
        """Plan a new table; nothing is touched. A table that is there is left as it is: TargetNotEmpty with `settings_only`."""
        if exists(self._table_of(self._name)):
            if settings_only:
                raise TargetNotEmpty(f"the table {self._name} exists: its settings are left alone", hint="Give --to another name.")
            if not bare:
                self.notes.append(f"the table {self._name} was there already: its settings are as they were. {TTL_CAUTION}")
            return
        self._kept, received = self._kept_settings()
        self.settings = None if received is None else moment.iso(received)
        self._plan = self._planned(f"{self._kept.table_arn.rpartition('/')[0]}/{self._name}")
        if settings_only and self._plan.time_to_live is not None:
            self.notes.append(f"time to live is on. {TTL_CAUTION}")

    def prepare_rest(self) -> None:
        """Plan what an earlier restore has not set of a table that it created."""
        self._kept, _ = self._kept_settings()
        self._plan = self._planned(self._table_of(self._name).facts().arn)

    def _kept_settings(self) -> tuple[Catalog, float | None]:
        """Returns the catalog of the moment, and when it was saved, None if that is not known."""
        vault, at = self._vault, self._at
        try:
            catalog, received = catalog_versions.in_force(vault.store, vault.catalog.table, at)
        except AccessDenied:
            self.notes.append("the catalog's versions may not be listed: the settings are the newest, whatever they were then")
            return vault.catalog, None
        if received >= at + 1:
            self.notes.append(f"no settings of the table were kept before {moment.iso(at)}: these are of {moment.iso(received)}")
        return catalog, received

    def _planned(self, arn: str) -> Setup:
        names = TableNames(self._kept.table_arn, arn, self._kept.stream_arn)
        whole = plan(catalogs.settings_of(self._kept), self._vault.catalog.key_schema, names, indexes=self._indexes)
        self.grants = grants.grants(whole, names.account, accept=self._accept)
        return whole if self._accept else grants.guarded(whole, names, names.account)

    def create(self, table: Table) -> None:
        """Creates the table, unless it exists."""
        if self._plan is None:
            return
        try:
            table.create(self._plan.creation)
        except Unavailable:
            raise
        except Failed as error:
            raise type(error)(error.message, hint=_hint(error, self._plan.creation)) from error
        asked = self._plan.creation
        self._plan = self._planned(table.facts().arn)  # which account and region it is in is known only now
        if self._plan.creation != asked:  # its key is another account's, whatever the catalog says of the table's own
            table.delete()
            table.create(self._plan.creation)

    def watching(self, sink: Sink, attribute: str | None) -> Sink:
        """The sink, or one around it that counts the rows which time to live, by this attribute, would delete again."""
        self._rows = None if attribute is None else _ExpiredRowCounter(sink, attribute, self._at, self._clock)
        return self._rows or sink

    @property
    def time_to_live(self) -> str | None:
        """The attribute by which the new table's rows will expire, None where they do not."""
        step = None if self._plan is None else self._plan.time_to_live
        return None if step is None else str(step.request["TimeToLiveSpecification"]["AttributeName"])

    def live_time_to_live(self) -> str | None:
        """The attribute by which the live table's rows expire now, None where they do not."""
        kept = catalogs.settings_of(self._vault.catalog)
        settings = self._table_of(self._vault.catalog.table).settings()
        return kept.time_to_live if "time_to_live" in settings.unknown else settings.time_to_live

    @property
    def expired(self) -> int:
        """The number of put rows that have expired since the moment."""
        return 0 if self._rows is None else self._rows.expired

    @property
    def creation(self) -> Creation | None:
        """The table's creation; None if it exists."""
        return None if self._plan is None else self._plan.creation

    def finish_import(self) -> None:
        """Does the same as `finish` for a table that ImportTable created. It cannot tell which of its rows have expired."""
        if self._plan is None:
            return
        arn, asked = self._table_of(self._name).facts().arn, self._plan.creation
        self._plan = self._planned(arn)
        names = TableNames(self._kept.table_arn, arn, self._kept.stream_arn)
        steps, left = [*after_import(self._plan.creation, names), *self._plan.steps], list(self._plan.todo)
        if self._plan.creation != asked:  # its key is another account's after all, and the import has used it
            left = [_with_their_key(asked, names), *(each for each in left if each.what != grants.KEY)]
            self.grants = [msgspec.structs.replace(each, accepted=each.accepted or each.what == grants.KEY) for each in self.grants]
        if (step := self._plan.time_to_live) is not None:
            left.insert(
                0, Todo(step.what, f"left off: whether imported rows have expired is not known. {TTL_CAUTION}", step.command)
            )
        self.todo = [*self._refused(steps), *left]

    def finish(self, *, dry_run: bool, undo: str | None = None) -> TargetOutcome:
        """Carry out what comes after the items; in a dry run only say what will be left. `undo`: what takes it back."""
        todo = [] if self._plan is None else self._after_items(self._plan, dry_run=dry_run)
        notes = [*self.notes, *([] if self._plan is not None or not self.expired else [self._expiring(dry_run=dry_run)])]
        return TargetOutcome(notes, todo, self.grants, self.settings, self.expired, undo, self.sets(time_to_live=not self.expired))

    def sets(self, *, time_to_live: bool) -> list[str]:
        """Returns the settings that a new table gets, a line for each; none for one that was there."""
        return [] if self._plan is None else words_of(self._plan, time_to_live=time_to_live)

    def _after_items(self, planned: Setup, *, dry_run: bool) -> list[Todo]:
        steps, left = list(planned.steps), list(planned.todo)
        if (step := planned.time_to_live) is not None:
            if self.expired:
                why = f"left off: it would delete restored rows within days, those whose time to live is over: {self.expired}"
                left.insert(0, Todo(step.what, why, step.command))
            else:
                steps.insert(0, step)
        return left if dry_run else [*self._refused(steps), *left]

    def _expiring(self, *, dry_run: bool) -> str:
        would, rows = "would put" if dry_run else "put", counted(self.expired, "row")
        return f"it {would} back {rows} whose time to live has passed: DynamoDB deletes such rows within days"

    def _refused(self, steps: Sequence[SetupStep]) -> list[Todo]:
        table = self._table_of(self._name)
        refused = []
        for step in steps:
            try:
                table.apply(step)
            except BackstreamError as error:
                refused.append(Todo(step.what, error.message, step.command, failed=True))
        return refused


def _with_their_key(asked: Creation, names: TableNames) -> Todo:
    """Returns the to-do for a table that was imported with another account's key: DynamoDB's own key in its place."""
    key = asked.request["SSESpecification"]["KMSMasterKeyId"]
    request = {"TableName": names.name, "SSESpecification": {"Enabled": False}}
    why = f"the import has used {key}, which is not of the account that the table is in ({names.account}): its owner can lock it"
    return Todo(grants.KEY, why, SetupStep(grants.KEY, DYNAMODB, "UpdateTable", request).command, failed=True)


class _ExpiredRowCounter:
    """A sink around another one, which counts the rows whose time to live (in this attribute) would delete them: see `is_over`."""

    def __init__(self, sink: Sink, attribute: str, at: int, clock: Clock) -> None:
        self._sink = sink
        self._attribute = attribute
        self._at = at
        self._clock = clock
        self.expired = 0

    @property
    def gave_up_reason(self) -> str:
        """See the sink."""
        return self._sink.gave_up_reason

    @property
    def touched(self) -> bool:
        """See the sink."""
        return self._sink.touched

    def add(self, write: Write, live: bytes | None) -> None:
        """Counts the write, and passes it on."""
        if isinstance(write, Put) and is_over(write.image, self._attribute, self._at, self._clock.now()):
            self.expired += 1
        self._sink.add(write, live)

    def finish(self) -> Sequence[LeftOut[Write]]:
        """See the sink."""
        return self._sink.finish()

    def abandon(self) -> None:
        """See the sink."""
        self._sink.abandon()


def is_over(image: bytes, attribute: str, at: int, now: float) -> bool:
    """True if an item's time to live, in this attribute, has ended between second `at` and now, or long before `at`.

    An item whose time had ended shortly before `at` was about to be deleted anyway. One that was still there long after that was
    under no time to live by this attribute, whatever a catalog says.
    """
    value = (wire.attribute(image, attribute) or {}).get("N")
    return value is not None and now - TTL_REACH < float(value) < now and not at - TTL_DELAY <= float(value) <= at


def exists(table: Table) -> bool:
    """True if the table exists."""
    try:
        table.facts()
    except MissingTable:
        return False
    return True


def _hint(error: Failed, creation: Creation) -> str:
    """Returns the error's own hint, and the way around every refusal."""
    asked = ["tags, which take dynamodb:TagResource"] if "Tags" in creation.request else []
    key = creation.request.get("SSESpecification", {}).get("KMSMasterKeyId")
    asked += [f"the KMS key {key}"] if key else []
    words = f"It was asked for with {' and '.join(asked)}." if asked else ""
    way = "A table that you create yourself, empty and of the same keys, is taken as it is: restore --to it."
    return " ".join(each for each in (error.hint, words, way) if each)
