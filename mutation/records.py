"""What came of each mutant, kept so that a run goes on where the last one ended; and the table of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

FILE = Path(__file__).parents[1] / "build" / "mutants.ndjson"


class Record(msgspec.Struct, frozen=True):
    """One mutant. `source`: digest of the module that it was made of; `outcome`: see `trial.Ended`."""

    module: str
    source: str
    operator: str
    occurrence: int
    line: int
    text: str
    outcome: str
    seconds: float


class Records:
    """The file, which only grows."""

    def __init__(self, path: Path = FILE) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def all(self) -> Iterator[Record]:
        """In the order in which they were made; the last of one mutant counts."""
        if self._path.exists():
            yield from (msgspec.json.decode(line, type=Record) for line in self._path.read_bytes().splitlines())

    def add(self, record: Record) -> None:
        """At the end."""
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")


def table(records: Iterable[Record], made: Counter[str]) -> Iterator[str]:
    """By module: how many mutants there are, were killed, survived, are left; then each that survived."""
    found: dict[tuple[str, str, int], Record] = {(each.module, each.operator, each.occurrence): each for each in records}
    yield f"{'module':44} {'mutants':>8} {'killed':>8} {'survived':>8} {'left':>8}"
    for module, count in made.items():
        outcomes = Counter(each.outcome for each in found.values() if each.module == module)
        yield _row(module, count, outcomes)
    yield _row("all", sum(made.values()), Counter(each.outcome for each in found.values()))
    for each in sorted(found.values(), key=lambda record: (record.module, record.line)):
        if each.outcome != "killed":
            yield f"{each.outcome}: {each.module}:{each.line} {each.operator}: {each.text}"


def _row(name: str, count: int, outcomes: Counter[str]) -> str:
    return f"{name:44} {count:8} {outcomes['killed']:8} {outcomes['survived']:8} {count - outcomes.total():8}"
