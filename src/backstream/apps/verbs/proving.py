"""The operations that prove a backup, in the library: `TableBackup.drill`, `drills`, `check`, `verify`."""

from __future__ import annotations

from contextlib import nullcontext

import msgspec

from backstream.apps.operator import operator
from backstream.apps.verbs.arguments import Duration, Moment, objectives_of, second_of
from backstream.apps.verbs.capturing import Capturing
from backstream.apps.verbs.restores import Restoring
from backstream.errors import UsageError
from backstream.model.tables import naming
from backstream.model.values.decoding import UNDECODABLE
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.compare.recheck import PATIENCE
from backstream.operations.compare.verify import Verified, verify
from backstream.operations.drill import PATIENCE as DRILL_PATIENCE
from backstream.operations.drill import SAMPLE, Drill, DrillPlan, Pick, drill
from backstream.operations.drill.limits import Limit
from backstream.operations.inspect import signatures
from backstream.operations.inspect.check import CheckContext, Checked, check_table, with_lock
from backstream.vault.drills import Held

WHOLE = 100.0  # percent


class Proving(Capturing, Restoring):
    """The part of a table's backup that tests it."""

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
        """Tests a restore: into a scratch table, compared with the vault and the live table, measured, and deleted again.

        `at`: the moment, None to `pick` one; `scratch`: the scratch table's name, which must be free; `keep`: leave it there;
        `rpo`, `rto`: the tolerated loss and the tolerated time, seconds or `30m`. The answer says whether it `passed`. `limit`:
        ends it with `OutOfTime` when its time is up; then it has not passed, and its scratch table is deleted too.
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
        """Compares everything that the vault claims about the table with everything that exists, by listings, and by reading the
        change log.

        `read_data`: percent of the rows that are read and verified too; `repair`: remove the delete markers that are not this
        tool's own, which needs s3:DeleteObjectVersion. The answer's `findings` name the faults.
        """
        if not 0 <= read_data <= WHOLE:
            raise UsageError(f"not a percentage: {read_data:g}", hint="Give a number from 0 to 100.")
        config, asked = self._config, self._config.min_head is not None or self._config.keys.verifies
        words = signatures.in_words(self._covered(self._vault(), None)) if asked else ""
        markers = config.markers if repair else None
        around = CheckContext(config.clock, config.memory, progress or Silent(), markers)
        found = with_lock(check_table(self._vault, config.store, self._name, around, percent=read_data), config.lock_trial)
        return msgspec.structs.replace(found, checked=[*found.checked, words]) if words else found

    def drills(self, most: int = 30) -> list[Held]:
        """Returns the last drills, oldest first."""
        return self._vault().drills.newest(most)

    def drill_record(self, drill: str) -> tuple[Held, Drill | None]:
        """Returns one drill by its id: its summary, and its whole report; None if that cannot be read."""
        held, record = self._vault().drills.record(drill)
        try:
            return held, msgspec.json.decode(record, type=Drill)
        except UNDECODABLE:
            return held, None

    def verify(
        self,
        *,
        sample: float = 100.0,
        patience: float = PATIENCE,
        repair: bool = False,
        progress: Progress | None = None,
    ) -> Verified:
        """Compares the vault with the live table; changes in flight are not differences. `sample`: percent of the keys.

        `repair`: write the table's present state of differing rows into the vault.
        """
        vault = self._vault()
        writer = self._config.writer if repair else None
        return verify(vault, self._surroundings(progress), sample=sample, patience=patience, repair_as=writer)
