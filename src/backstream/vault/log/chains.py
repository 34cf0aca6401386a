"""The chains of a tail's segments.

Each segment is an unbroken run of its shard and names its predecessor, so a missing one shows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec

from backstream.model.sealing import NONE
from backstream.vault.log.segments import Segment, SegmentKind


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """All changes of a shard from `first` to `last` (sequence numbers), and none between `after` and `first`.

    `after`: the last change that its writer had made durable before: a sequence number, or a word if there was none (the stream's
    oldest record, a gap). `since`, `until`: the seconds of its first and its last change. `head`: the head of its last segment, see
    `heads`. `previous`: the head that its writer had before its first segment; empty if an older version wrote it, or if it was not
    read.
    """

    stream: str
    shard: str
    first: str
    last: str
    after: str
    since: int
    until: int
    head: str = ""
    previous: str = ""
    writer: str = ""

    @property
    def bounds(self) -> tuple[int, int]:
        """Both sequence numbers, as integers that can be compared."""
        return int(self.first), int(self.last)

    def holds(self, sequence: str) -> bool:
        """True if a change with this number would belong to the run."""
        first, last = self.bounds
        return first <= int(sequence) <= last


UNKNOWN = "unknown"  # the predecessor of a run that was not read: nobody asks for it


def run_of(segment: Segment, after: str = UNKNOWN) -> Run | None:
    """Returns the run of a segment; None for a segment of another kind."""
    if segment.kind is not SegmentKind.TAIL:
        return None
    return Run(segment.stream, segment.shard, segment.first, segment.last, after, segment.min_time, segment.max_time)


def stated_run(segment: Segment, said: Mapping[str, str], head: str) -> Run | None:
    """Returns the run of a segment, with the predecessor that its metadata names. `head`: its own, see `heads`."""
    run = run_of(segment, said.get("after", UNKNOWN))
    if run is None or "previous" not in said:
        return run
    return msgspec.structs.replace(run, head=head, previous=said["previous"], writer=said.get("writer", ""))


def joined(runs: Iterable[Run]) -> list[Run]:
    """Returns the same changes in as few runs as possible.

    A run whose `after` is still a sequence number lacks that predecessor.
    """
    return [run for of_shard in _by_shard(runs).values() for run in _joined(of_shard)]


def _by_shard(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    shards: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        shards.setdefault((run.stream, run.shard), []).append(run)
    return shards


def _joined(runs: list[Run]) -> Iterator[Run]:
    whole: Run | None = None
    for run in sorted(runs, key=lambda each: each.bounds):
        if whole is not None and (whole.holds(run.first) or (run.after.isdecimal() and whole.holds(run.after))):
            last = max(whole.last, run.last, key=int)
            whole = _longer(whole, run, last)
            continue
        if whole is not None:
            yield whole
        whole = run
    if whole is not None:
        yield whole


def _longer(whole: Run, run: Run, last: str) -> Run:
    """Joins two runs. If both end with the same change, as after a tail has read a shard again, nobody knows which head counts."""
    end = run if last == run.last else whole
    head = "" if whole.last == run.last and whole.head != run.head else end.head
    return msgspec.structs.replace(whole, last=last, until=max(whole.until, run.until), head=head, writer=end.writer)


def replaced(runs: Iterable[Run]) -> list[Run]:
    """Returns the runs that differ from the one that the next run, by the same writer, was written upon."""
    return [found for of_shard in _by_shard(runs).values() for found in _replaced(of_shard)]


def _replaced(runs: Sequence[Run]) -> Iterator[Run]:
    in_order = sorted(runs, key=lambda each: each.bounds)
    firsts = [each.bounds[0] for each in in_order]
    reach = list(accumulate((each.bounds[1] for each in in_order), max))
    ending: dict[str, list[Run]] = {}
    for run in in_order:
        ending.setdefault(run.last, []).append(run)
    for run in in_order:
        before = ending.get(run.after, [])
        if run.previous in ("", NONE) or not before:
            continue
        # A run that continues after that change may hold the segment in question, but does not state its head.
        goes_on = reach[bisect_right(firsts, int(run.after)) - 1] > int(run.after)
        if not goes_on and not any(_may_precede(each, run) for each in before):
            yield before[0]


def _may_precede(before: Run, run: Run) -> bool:
    """True if `before` may be the run that the next run's writer meant: another writer has its own heads."""
    return not before.head or before.writer != run.writer or before.head == run.previous


class Missing(msgspec.Struct, frozen=True):
    """A segment that must have existed: its last change is `run.after`. `since` is the second up to which nothing is missing."""

    run: Run
    since: int | None


def missing(runs: Iterable[Run]) -> list[Missing]:
    """Returns the predecessors that are not among these runs."""
    found = []
    for of_shard in _by_shard(joined(runs)).values():
        for run, before in zip(of_shard, [None, *of_shard], strict=False):
            if run.after.isdecimal():
                found.append(Missing(run, None if before is None else before.until))
    return found


ENDS = 500  # runs that are remembered whatever their age: more than most tables have shards, and a shard may be quiet for long


def open_ends(runs: Iterable[Run], *, since: int, newest: int = ENDS) -> Sequence[Run]:
    """Returns the runs that must be remembered although they are no longer listed.

    A later run may link to these: they have changes since `since`, or are among the `newest`. Runs whose predecessor is missing are
    kept too.
    """
    newest_last = sorted(joined(runs), key=lambda run: run.until)
    young = len(newest_last) - newest
    return [run for place, run in enumerate(newest_last) if place >= young or run.until >= since or run.after.isdecimal()]
