"""Notes that a table's changes do not go to its Kinesis stream: nothing in the stream tells, so a quiet shard proves nothing then.

The stream of a table that no longer sends its changes is open and silent. The table says so, and does not say since when. So the
first look that finds it off records a gap from the last proven second on; the first one that finds it on again makes it as long as
the time in which nobody knows. See docs/notes/0075.
"""

from __future__ import annotations

from backstream.errors import Failed, Refused
from backstream.model import moment
from backstream.operations.setup.identity import proven_until
from backstream.operations.setup.sources import check_destination
from backstream.ports import Clock, Table
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault

OFF = "the table's changes do not go to the Kinesis stream"
AGAIN = "the table's changes did not go to the Kinesis stream for a while"


def check_sent(vault: TableVault, table: Table, arn: str, now: float) -> Gap | None:
    """Returns the recorded gap if the table sends its changes there again after a time in which it did not; None usually.

    Raises Refused if it does not send them there: then a gap from the last proven second on is recorded.
    """
    off = _still_off(vault)
    try:
        check_destination(table, arn)
    except Refused as error:
        if off is None:
            known = min(proven_until(vault, now), int(now))
            off = Gap(reason=OFF, since=known, until=int(now), stream=vault.catalog.stream)
            vault.gaps.record(off)
        why = f"changes made since {moment.iso(off.since)} may be missing (a recorded gap)"
        raise Refused(f"{error.message}; {why}", hint=f"{error.hint} Then run `backstream backfill {table.name}`.") from error
    if off is None:
        return None
    gap = Gap(reason=AGAIN, since=off.since, until=int(now), stream=vault.catalog.stream)
    vault.gaps.record(gap)
    return gap


def _still_off(vault: TableVault) -> Gap | None:
    every = list(vault.gaps.all())
    ended = {each.since for each in every if each.reason == AGAIN}
    return next((each for each in every if each.reason == OFF and each.since not in ended), None)


class SentCheck:
    """Checks before a claim that the table has sent its changes to the stream since. It looks no more often than it has to."""

    def __init__(self, vault: TableVault, table: Table, arn: str, clock: Clock) -> None:
        self._vault, self._table, self._arn, self._clock = vault, table, arn, clock
        self._seen_on = float("-inf")

    def __call__(self, second: int) -> None:
        """Raises Failed, and records a gap, if changes up to that second may not have been sent."""
        if second <= self._seen_on:
            return
        now = self._clock.now()
        try:
            check_sent(self._vault, self._table, self._arn, now)
        except Refused as error:
            raise Failed(f"{error.message}: nothing more is claimed", hint=error.hint) from error
        self._seen_on = now
