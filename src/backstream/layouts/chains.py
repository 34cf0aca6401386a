"""The chains of a tail's segments: each is an unbroken run of its shard and names its predecessor, so a missing one is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from backstream.layouts.segments import Kind, Segment


class Run(msgspec.Struct, frozen=True):
    """All changes of a shard from `first` to `last` (sequence numbers), and none between `after` and `first`.

    `after`: what its writer had made durable before: a sequence number, or a word where there was none (the stream's oldest
    record, a gap). `since`, `until`: the seconds of its first and its last change.
    """

    stream: str
    shard: str
    first: str
    last: str
    after: str
    since: int
    until: int

    @property
    def bounds(self) -> tuple[int, int]:
        """Both sequence numbers, to compare."""
        return int(self.first), int(self.last)

    def holds(self, sequence: str) -> bool:
        """Whether a change of this number would be one of the run."""
        first, last = self.bounds
        return first <= int(sequence) <= last


UNKNOWN = "unknown"  # the predecessor of a run that was not read: nobody asks for it


def run_of(segment: Segment, after: str = UNKNOWN) -> Run | None:
    """The run that a segment is; None for a segment of another kind."""
    if segment.kind is not Kind.TAIL:
        return None
    return Run(segment.stream, segment.shard, segment.first, segment.last, after, segment.min_time, segment.max_time)


def joined(runs: Iterable[Run]) -> list[Run]:
    """The same changes in as few runs as can be. What still names a sequence number as its predecessor lacks that predecessor."""
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
            whole = msgspec.structs.replace(whole, last=last, until=max(whole.until, run.until))
            continue
        if whole is not None:
            yield whole
        whole = run
    if whole is not None:
        yield whole


class Missing(msgspec.Struct, frozen=True):
    """A segment that there must have been: whose last change `run.after` is. `since`: the second up to which all is there."""

    run: Run
    since: int | None


def missing(runs: Iterable[Run]) -> list[Missing]:
    """The predecessors that are not among these."""
    found = []
    for of_shard in _by_shard(joined(runs)).values():
        for run, before in zip(of_shard, [None, *of_shard], strict=False):
            if run.after.isdecimal():
                found.append(Missing(run, None if before is None else before.until))
    return found


ENDS = 500  # that are remembered whatever their age: more shards than most tables have, each of which may be quiet for long


def open_ends(runs: Iterable[Run], *, since: int, newest: int = ENDS) -> Sequence[Run]:
    """What must be remembered of runs that are not listed any more: those to which a later one may be linked, with changes since
    that second or among the `newest`, and those whose predecessor is missing."""
    newest_last = sorted(joined(runs), key=lambda run: run.until)
    young = len(newest_last) - newest
    return [run for place, run in enumerate(newest_last) if place >= young or run.until >= since or run.after.isdecimal()]
