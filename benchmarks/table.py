"""The results as Markdown: a table of requests, one of capturing, one of whole tables, and what was promised of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backstream.model import prices
from benchmarks import wrk
from benchmarks.plan import CAPTURE, CAPTURE_REQUESTS_TARGET, LIMIT, LOG, ROWS, Contest
from benchmarks.results import Figures, Results

MILLION = 1_000_000
HEADS = ("", "CPU an item", "least to most", "wall an item", "peak memory", "CPU, compared")
OF_CAPTURE = (*HEADS, "S3 requests a million changes", "dollars a million changes")
# What a request of each kind costs; DELETE is free.
PRICES = {"PutObject": prices.PUT, "ListObjectsV2": prices.PUT, "ListObjectVersions": prices.PUT}
PRICES |= {"GetObject": prices.GET, "HeadObject": prices.GET, "HeadBucket": prices.GET}


def table(contests: Sequence[Contest], results: Results) -> list[str]:
    """The lines of one table."""
    heads = OF_CAPTURE if contests == [CAPTURE] else HEADS
    rows = [row for contest in contests for row in _rows(contest, results, len(heads))]
    return [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)]), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(contest: Contest, results: Results, width: int) -> Iterator[Sequence[str]]:
    yield [f"**{contest.title}** (an item: {contest.item})", *[""] * (width - 1)]
    labels = [side.label for side in contest.sides]
    for label in [*labels, *([LIMIT] if contest.wrk else [])]:
        found = results.of(contest, label)
        if found is None:
            yield [label, _why_not(contest, label, results), *[""] * (width - 2)]
        else:
            yield [label, *_cells(found), _compared(contest, label, results), *(_dear(found) if width > len(HEADS) else ())]


def _why_not(contest: Contest, label: str, results: Results) -> str:
    if label == LIMIT and not wrk.installed():
        return wrk.MISSING
    return f"could not run: {' '.join(results.failed.get((contest.title, label), 'not tried').split())}".replace("|", "\\|")


def _cells(found: Figures) -> Sequence[str]:
    peak = f"{found.peak / (1 << 20):.0f} MB" if found.peak else "-"
    return time(found.cpu), f"{time(found.least)} to {time(found.most)}", time(found.wall), peak


def time(micros: float) -> str:
    """Three digits, or as many as there are before the point."""
    digits = 0 if micros >= 100 else 1 if micros >= 10 else 2
    return f"{micros:,.{digits}f} µs"


def _compared(contest: Contest, label: str, results: Results) -> str:
    ratio = results.ratio(contest, label)
    if ratio is None or label == contest.against:
        return "" if ratio is None else "1"
    return f"{_times(ratio)} less" if ratio >= 1 else f"{_times(1 / ratio)} more"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 100 else f"{ratio:,.0f}x"


def _dear(found: Figures) -> Sequence[str]:
    return f"{sum(found.requests.values()) * MILLION:,.0f}", f"{dollars(found.requests):.3f}"


def dollars(requests: Mapping[str, float]) -> float:
    """What S3 takes for a million items, of which each takes so many requests of each kind."""
    return sum(PRICES.get(kind, 0.0) * count for kind, count in requests.items()) * MILLION


def promises(contests: Sequence[Contest], results: Results) -> list[str]:
    """A line for each promise: what was measured, what was promised, and whether it is kept."""
    lines = [_promise(contest, results) for contest in contests if contest.target]
    if CAPTURE in contests and (log := results.of(CAPTURE, LOG)) and (rows := results.of(CAPTURE, ROWS)):
        ratio = sum(rows.requests.values()) / sum(log.requests.values())
        lines.append(_kept(f"{CAPTURE.title}: S3 requests, {LOG} against {ROWS}", ratio, CAPTURE_REQUESTS_TARGET, "fewer"))
    return lines


def _promise(contest: Contest, results: Results) -> str:
    first = contest.sides[0].label
    ratio = results.ratio(contest, first)
    what = f"{contest.title}: CPU, {first} against {contest.against}"
    if ratio is not None and contest.target < 1:
        kept = "met" if ratio >= contest.target else "**missed**"
        return f"- {what}: {1 / ratio:.2f}x as much; promised at most {1 / contest.target:.2f}x: {kept}"
    return f"- {what}: not measured" if ratio is None else _kept(what, ratio, contest.target, "less")


def _kept(what: str, ratio: float, target: float, word: str) -> str:
    return f"- {what}: {_times(ratio)} {word}; promised {target:g}x: {'met' if ratio >= target else '**missed**'}"
