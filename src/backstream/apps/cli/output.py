"""The output of the command line: reports to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from backstream.apps.cli.screen import Screen
from backstream.errors import Refused
from backstream.model import prices
from backstream.model.values.visible import visible_json

if TYPE_CHECKING:  # every command loads this module: it loads no operation
    from backstream.model.prices import Cost
    from backstream.model.tables.grants import Grant
    from backstream.model.tables.setup import Todo
    from backstream.operations.compare.recheck import ComparedRows
    from backstream.operations.restore import Failure

NAMED_FAILURES = 20
LISTED_KEYS = 20


err = Screen(stderr=True)
out = Screen()


def notice(text: str) -> None:
    """Prints one line for an operator."""
    err.print(text)


def hint(text: str) -> None:
    """Prints the next step. Its line breaks are this tool's own."""
    for each in text.split("\n"):
        notice(each)


def line(data: bytes) -> None:
    """Writes a line of JSON for machines, on stderr."""
    err.file.write(visible_json(data).decode() + "\n")
    err.file.flush()


def confirmed(question: str) -> bool:
    """True if an operator at a terminal says yes. The question goes to stderr."""
    err.print(f"{question} [y/N]", end=" ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def confirm(question: str) -> None:
    """Asks an operator at a terminal. Raises Refused if the answer is no."""
    if not confirmed(question):
        raise Refused("aborted; nothing was changed")


def need_terminal(question: str, hint: str) -> None:
    """Returns if somebody can be asked. Otherwise raises Refused with the alternative."""
    if not sys.stdin.isatty():
        raise Refused(f"not confirmed: {question}", hint=hint)


def agree_to_undo(question: str) -> None:
    """Asks before exactly what an earlier run wrote is taken back. Raises Refused if nobody can be asked, or the answer is no."""
    need_terminal(question, "Look at it with --dry-run first, then run it with --yes.")
    confirm(question)


class Resumption:
    """Prints the command that resumes a long operation, and prints it again if the operation is stopped."""

    def __init__(self) -> None:
        self.command: str | None = None

    def __call__(self, command: str) -> None:
        """Called as soon as there is something to resume."""
        self.command = command
        notice(f"if this is interrupted, resume it with: {command}")

    def after_stop(self, nothing: str) -> str:
        """Returns the next step after a stop. `nothing`: the text if there is nothing to resume."""
        return f"resume with: {self.command}" if self.command is not None else nothing

    def around(self, run: Callable[[], int], nothing: str) -> int:
        """Runs the operation. If it is stopped, prints the next step: see `after_stop`."""
        try:
            return run()
        except KeyboardInterrupt:
            notice(f"stopped: {self.after_stop(nothing)}")
            raise


def as_json(value: object) -> None:
    """Prints a report for programs: one line of JSON. Within `as_array` it becomes an element of the array."""
    body = visible_json(msgspec.json.encode(value))
    if _arrays:
        _arrays[-1].append(body)
        return
    sys.stdout.buffer.write(body + b"\n")
    sys.stdout.buffer.flush()


_arrays: list[list[bytes]] = []  # the one that is being collected, if any


@contextmanager
def as_array() -> Iterator[Sequence[bytes]]:
    """Prints the reports of several tables as one document: an array. It holds the work that was done before a stop.

    Yields the reports so far.
    """
    collected: list[bytes] = []
    _arrays.append(collected)
    try:
        yield collected
    finally:
        _arrays.pop()
        sys.stdout.buffer.write(b"[" + b",".join(collected) + b"]\n")
        sys.stdout.buffer.flush()


def as_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Prints a report for people: one fact per line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        out.print(f"{name:<{width}}  {value}")


def of_costs(costs: Sequence[Cost]) -> list[tuple[str, str]]:
    """Returns the cost of requests, as facts for `as_facts`."""
    each = [
        f"{cost.layout} ${cost.capture:.3g} per million changes captured, ${cost.restore:.3g} per million rows restored"
        for cost in costs
    ]
    writes = f"${prices.WRITE_UNIT * prices.MILLION:.3g} per million rows of 1 KB that a restore writes to a table"
    listed = f"list prices of {prices.REGION}, {prices.AS_OF}; and {writes}"
    return [*(("S3 requests", cost) for cost in each), ("prices", listed)]


def as_failures(word: str, failures: Sequence[Failure]) -> None:
    """Prints what was not done on stderr: the first few, one per line."""
    for failure in failures[:NAMED_FAILURES]:
        notice(f"{word}: {failure.what}: {failure.why}")
    if len(failures) > NAMED_FAILURES:
        notice(f"... and {len(failures) - NAMED_FAILURES} more: --json names every one")


def as_compared(report: ComparedRows, of: str) -> None:
    """Prints a comparison for people: its counts, and the first few keys of each kind."""
    as_facts(
        [
            ("table", of),
            ("same", f"{report.same:,}"),
            ("missing", f"{report.missing:,}"),
            ("extra", f"{report.extra:,}"),
            ("different", f"{report.different:,}"),
            ("in flight", f"{report.in_flight:,}"),
            ("failed", f"{report.failed:,}"),
            ("repaired", f"{report.repaired:,}"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
    for kind, keys in report.keys.items():
        for key in keys[:LISTED_KEYS]:
            out.print(f"{kind:<9}  {bytes(key).decode()}")
        if len(keys) > LISTED_KEYS:
            out.print(f"... and {len(keys) - LISTED_KEYS:,} more {kind}: --json names every one")


def as_grants(grants: Sequence[Grant]) -> None:
    """Prints the principals and resources in a new table's settings, one per line."""
    for each in grants:
        whose = "another account's" if each.foreign else "own"
        out.print(f"names      {each.what}: {each.who} ({whose}, {'set' if each.accepted else 'NOT SET'})")


def as_sets(sets: Sequence[str]) -> None:
    """Prints the settings that a new table gets, one per line: a catalog says them, and a person should have read them."""
    for each in sets:
        out.print(f"sets       {each}")


def as_todo(todo: Sequence[Todo]) -> None:
    """Prints the remaining manual steps at a report's end: what, why, and the command on its own line."""
    if todo:
        out.print()
        out.print("TO DO")
    for each in todo:
        out.print(f"- {each.what}: {each.why}")
        if each.command:
            out.print(f"  {each.command}")
