"""The figures of drills and vaults for monitors. `prometheus` and `emf` write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backstream.apps.monitoring.emf import Measured, Metric
from backstream.model import moment
from backstream.model.changes.change import MICROS

if TYPE_CHECKING:  # what figures are of: whoever has one has loaded its module
    from backstream.operations.capture.witness import Witnessed
    from backstream.operations.drill import Drill
    from backstream.operations.inspect.status import Status

DRILL_PASSED = Metric("backstream_drill_passed", "DrillPassed", "Count", "1 if the drill passed, else 0.")
DRILL_RPO = Metric(
    "backstream_drill_rpo_seconds", "DrillRPO", "Seconds", "Age of the newest complete second in the vault when the drill began."
)
DRILL_RTO = Metric("backstream_drill_rto_seconds", "DrillRTO", "Seconds", "Time until the restored table held all its rows.")
DRILL_ROWS = Metric("backstream_drill_rows", "DrillRows", "Count", "Rows that the vault says there were at the moment.")
DRILL_DIFFERENCES = Metric("backstream_drill_differences", "DrillDifferences", "Count", "Rows that were not as they should be.")
DRILL_FAILED = Metric(
    "backstream_drill_unreadable_objects", "DrillUnreadableObjects", "Count", "Objects of the vault that could not be read."
)
HEAD = Metric(
    "backstream_vault_head",
    "VaultHead",
    "Count",
    "The counter of the newest watermark: less is an older vault.",
)
DRILL_TIME = Metric("backstream_drill_timestamp_seconds", "", "Seconds", "When the drill began, in seconds since 1970.")

WITNESS_LAG = Metric("backstream_witness_lag_seconds", "WitnessLag", "Seconds", "Age of the last second that is proven.")
WITNESS_CHECKED = Metric("backstream_witness_checked", "WitnessChecked", "Count", "Records of the stream that were checked.")
WITNESS_MISSING = Metric("backstream_witness_missing", "WitnessMissing", "Count", "Records that the log lacked.")
WITNESS_GAPS = Metric("backstream_witness_gaps", "WitnessGaps", "Count", "Gaps that the witness recorded.")
WITNESS_THROTTLED = Metric("backstream_witness_throttled", "WitnessThrottled", "Count", "Times the stream asked to slow down.")

WITNESS_LEFT = Metric(
    "backstream_witness_tables_left", "WitnessTablesLeft", "Count", "Tables about which this run of the witness proved nothing."
)
DRILLS_FAILING = Metric("backstream_drills_failing", "DrillsFailing", "Count", "Tables whose last drill did not pass.")
DRILLS_OVERDUE = Metric("backstream_drills_overdue", "DrillsOverdue", "Count", "Tables that were not drilled in time.")

RPO = Metric("backstream_rpo_seconds", "RPO", "Seconds", "Age of the newest complete second in the vault now.")
GAPS = Metric("backstream_gaps", "Gaps", "Count", "Gaps in the change log that no base backup has closed.")
MISSED = Metric("backstream_objectives_missed", "ObjectivesMissed", "Count", "Objectives that are not met.")
LAST_PASSED = Metric("backstream_last_drill_passed", "LastDrillPassed", "Count", "1 if the last drill passed, else 0.")
LAST_RTO = Metric("backstream_last_drill_rto_seconds", "LastDrillRTO", "Seconds", "Figures of the last drill.")
LAST_TIME = Metric("backstream_last_drill_timestamp_seconds", "", "Seconds", "When the last drill began, in seconds since 1970.")


def of_drill(drill: Drill) -> Measured:
    """Returns a drill's figures."""
    at = moment.parse_iso_micros(drill.began) / MICROS
    return _measured(
        drill.table,
        at,
        [
            (DRILL_PASSED, drill.passed),
            (DRILL_RPO, drill.rpo_seconds),
            (DRILL_RTO, drill.rto_seconds),
            (DRILL_ROWS, drill.rows),
            (DRILL_DIFFERENCES, drill.differences),
            (DRILL_FAILED, drill.failed),
            (DRILL_TIME, at),
            (HEAD, drill.covered.head),
        ],
    )


def of_no_drill(table: str, at: float) -> Measured:
    """Returns the figures for a drill that was refused, or could not begin: it has not passed."""
    return _measured(table, at, [(DRILL_PASSED, False), (DRILL_TIME, at)])


def of_witness(found: Witnessed, now: float) -> Measured:
    """Returns the figures of a run of the witness."""
    proven = None if found.proven_to is None else moment.parse_iso_micros(found.proven_to) / MICROS
    return _measured(
        found.table,
        now,
        [
            (WITNESS_LAG, None if proven is None else max(0.0, now - proven)),
            (WITNESS_CHECKED, found.checked),
            (WITNESS_MISSING, found.missing),
            (WITNESS_GAPS, found.gaps),
            (WITNESS_THROTTLED, found.throttled),
        ],
    )


def of_witnesses(left: int, now: float) -> Measured:
    """Returns the figures of one run of the witness for several tables."""
    return _measured("", now, [(WITNESS_LEFT, left)])


def of_drills(failing: int, overdue: int, now: float) -> Measured:
    """Returns the standing of several tables' drills."""
    return _measured("", now, [(DRILLS_FAILING, failing), (DRILLS_OVERDUE, overdue)])


def of_status(status: Status, now: float) -> Measured:
    """Returns a table's figures now. Their names differ from a drill's, since both files may be in one collector's folder."""
    last = status.last_drill
    return _measured(
        status.table,
        now,
        [
            (RPO, status.lag_seconds),
            (GAPS, len(status.gaps)),
            (MISSED, len(status.missed)),
            (LAST_PASSED, None if last is None else last.passed),
            (LAST_RTO, None if last is None else last.rto_seconds),
            (LAST_TIME, None if last is None else epoch_of(last.began)),
        ],
    )


def _measured(table: str, at: float, values: Sequence[tuple[Metric, float | None]]) -> Measured:
    return Measured(table, at, [(metric, float(value)) for metric, value in values if value is not None])


def epoch_of(iso: str) -> float | None:
    """Returns the second of a time in ISO 8601; None if it is none."""
    try:
        return moment.parse_iso_micros(iso) / MICROS
    except ValueError:
        return None  # of a record that cannot be read; what is not known is not told
