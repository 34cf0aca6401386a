"""The library: `backstream.open(...)`. The command line's commands are thin calls of what is here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from backstream.apps.config import STORE_PATIENCE, Config
from backstream.apps.doctor_context import patient_of
from backstream.apps.operator import operator
from backstream.apps.verbs.arguments import Duration, Key, Moment, key_of, objectives_of, second_of
from backstream.apps.verbs.blaming import Blaming
from backstream.apps.verbs.capturing import Capturing
from backstream.apps.verbs.changes import Changing
from backstream.apps.verbs.migrations import Migrating
from backstream.apps.verbs.restores import Restoring
from backstream.apps.verbs.reverts import Reverting
from backstream.errors import UsageError
from backstream.model.tables import naming
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.compare.recheck import PATIENCE
from backstream.operations.compare.verify import Verified, verify
from backstream.operations.doctor import Doctor, doctor
from backstream.operations.drill import PATIENCE as DRILL_PATIENCE
from backstream.operations.drill import SAMPLE, Drill, DrillPlan, Pick, drill
from backstream.operations.drill.limits import Limit
from backstream.operations.inspect import history as histories
from backstream.operations.inspect import safety, signatures
from backstream.operations.inspect.check import CheckContext, Checked, check_table
from backstream.operations.inspect.history import ItemHistory, ItemVersion, Shown
from backstream.operations.inspect.status import Status, status
from backstream.vault import vault_tables
from backstream.vault.drills import Held

WHOLE = 100.0  # percent


def percent_of(text: str) -> float:
    """A share of the rows. UsageError where that is none."""
    try:
        return float(text.removesuffix("%"))
    except ValueError as error:
        raise UsageError(f"not a percentage: {text!r}", hint="Give a number from 0 to 100.") from error


def open(  # noqa: A001 - the promised name
    url: str | None = None, *, patience: float = STORE_PATIENCE, verify_key: str | None = None, min_head: int | None = None
) -> Vault:
    """The vault at `s3://bucket/prefix` or `file:///folder`; None: that of the environment's `BACKSTREAM_VAULT`.

    `patience`: for how many seconds a store that does not answer is asked again; `verify_key`: believe nothing that is not signed
    with it, `kms:ARN` or a file; `min_head`: refuse a vault whose head, which a drill has told before, is less.
    """
    return Vault(Config(url, patience=patience, verify_key=verify_key, min_head=min_head))


class Vault:
    """Where backups live. Every method raises `backstream.BackstreamError`s, each with the next step in its `hint`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def url(self) -> str:
        """The vault's URL."""
        return self._config.url

    def create(self) -> None:
        """Create the vault's bucket (versioned, not public) or folder, where it does not exist."""
        self._config.create_root()

    def tables(self) -> list[str]:
        """The tables that this vault knows."""
        return vault_tables.tables(self._config.store)

    def names(self) -> list[str]:
        """As `tables`, with those whose catalog is lost: other objects of theirs are there."""
        return vault_tables.folders(self._config.store)

    def check(self, *, read_data: float = 0.0, repair: bool = False, progress: Progress | None = None) -> list[Checked]:
        """`TableBackup.check` of every table. The first that cannot be looked at ends it: ask table by table to go on."""
        return [self.table(name).check(read_data=read_data, repair=repair, progress=progress) for name in self.names()]

    def doctor(self, table: str | None = None, *, function: str | None = None, write: bool = False) -> Doctor:
        """Look at all that a backup hangs on, before and after it is deployed. Works without a vault, bucket, table or permission.

        `table`: None for all that the vault knows; `function`: the Lambda function's name, None for those that the table's stream
        feeds; `write`: put one object into the vault, to see that it can be.
        """
        if table is not None:
            naming.check_table_name(table)
        elif function is not None:
            raise UsageError("a function of which table?", hint="Name the table too: backstream doctor TABLE --function NAME.")
        return doctor(patient_of(self._config, function=function, write=write), table)

    def table(self, name: str) -> TableBackup:
        """The backup of one table; nothing is read yet."""
        return TableBackup(self._config, name)


class TableBackup(Capturing, Restoring, Migrating, Changing, Reverting, Blaming):
    """One table and its vault: what can be asked of them."""

    def __init__(self, config: Config, name: str) -> None:
        self._config = config
        self._name = name

    def history(self, key: Key, *, unread: Callable[[str], None] | None = None) -> list[ItemVersion]:
        """Every version of an item, oldest first. `unread` is told of what cannot be read; without it that is refused.

        PartlyDone where the image of a version is gone from the bucket, without `unread`.
        """
        vault = self._vault()
        return histories.history(vault, key_of(vault, key), unread, unread)

    def tell(self, key: Key, *, allow_gap: bool = False) -> ItemHistory:
        """Every version of an item, how fresh that is, and what could not be read. Refused as `history`, unless `allow_gap`."""
        vault = self._vault()
        return histories.tell(vault, key_of(vault, key), now=self._config.clock.now(), allow_gap=allow_gap)

    def limits(self) -> list[str]:
        """What the vault cannot tell of times before its own: said where an older tool's bucket was adopted, else nothing."""
        return [] if self._vault().catalog.adopted is None else [safety.LIMITS]

    def show(self, key: Key, at: Moment, *, allow_gap: bool = False) -> Shown:
        """The item as it was."""
        vault, now = self._vault(), self._config.clock.now()
        second = second_of(at, now, vault)
        return histories.show(vault, key_of(vault, key), second, now=now, allow_gap=allow_gap)

    def status(self, *, rpo: Duration = None, rto: Duration = None) -> Status:
        """Layout, recovery window, lag, gaps, sizes and the last drill. `rpo`, `rto`: objectives, as of `drill`."""
        objectives = objectives_of(rpo, rto)
        vault = self._vault()
        return status(vault, now=self._config.clock.now(), objectives=objectives)

    def drill(
        self,
        *,
        at: Moment | None = None,
        pick: Pick = Pick.NEWEST,
        scratch: str | None = None,
        keep: bool = False,
        rpo: Duration = None,
        rto: Duration = None,
        sample: int = SAMPLE,
        patience: float = DRILL_PATIENCE,
        allow_gap: bool = False,
        max_write_units: float | None = None,
        progress: Progress | None = None,
        limit: Limit = nullcontext,
    ) -> Drill:
        """Try a restore: into a scratch table, compared with the vault and the live table, measured, and deleted again.

        `at`: which moment, None to `pick` one; `scratch`: the scratch table's name, which must be free; `keep`: leave it there;
        `rpo`, `rto`: what may be lost and how long it may take, seconds or `30m`. The answer says whether it `passed`.
        `limit`: ends it with `OutOfTime` when its time is up; then it has not passed, and its scratch table is gone too.
        """
        if sample < 0:
            raise UsageError(f"not a number of rows: {sample}")
        if scratch is not None:
            naming.check_table_name(scratch)
        objectives = objectives_of(rpo, rto)
        vault = self._vault()
        around = self._surroundings(progress)
        second = None if at is None else second_of(at, around.clock.now(), vault)
        plan = DrillPlan(
            at=second,
            covered=self._covered(vault, second),
            pick=pick,
            scratch=scratch,
            keep=keep,
            objectives=objectives,
            sample=sample,
            patience=patience,
            allow_gap=allow_gap,
            max_units=max_write_units,
            operator=operator(self._config),
        )
        return drill(vault, plan, around, limit)

    def check(self, *, read_data: float = 0.0, repair: bool = False, progress: Progress | None = None) -> Checked:
        """Compare all that the vault claims of the table with all that is there, by listings, and by reading the change log.

        `read_data`: percent of the rows that are read and verified too; `repair`: take away the delete markers that are not this
        tool's own, which needs s3:DeleteObjectVersion. The answer's `findings` name what is wrong.
        """
        if not 0 <= read_data <= WHOLE:
            raise UsageError(f"not a percentage: {read_data:g}", hint="Give a number from 0 to 100.")
        config, asked = self._config, self._config.min_head is not None or self._config.keys.verifies
        words = signatures.in_words(self._covered(self._vault(), None)) if asked else ""
        markers = config.markers if repair else None
        around = CheckContext(config.clock, config.memory, progress or Silent(), markers)
        found = check_table(self._vault, config.store, self._name, around, percent=read_data)
        return msgspec.structs.replace(found, checked=[*found.checked, words]) if words else found

    def drills(self, most: int = 30) -> list[Held]:
        """The last drills, oldest first."""
        return self._vault().drills.newest(most)

    def verify(
        self,
        *,
        sample: float = 100.0,
        patience: float = PATIENCE,
        repair: bool = False,
        progress: Progress | None = None,
    ) -> Verified:
        """Compare the vault with the live table; what is on its way is no difference. `sample`: percent of the keys.

        `repair`: write the table's truth into the vault where they differ.
        """
        vault = self._vault()
        writer = self._config.writer if repair else None
        return verify(vault, self._surroundings(progress), sample=sample, patience=patience, repair_as=writer)
