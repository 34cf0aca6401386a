"""Names the target of each table of a group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from backstream.errors import UsageError
from backstream.model.tables.naming import check_table_name


class Targets(msgspec.Struct, frozen=True):
    """Where the tables go: in place, or into new tables with a suffix, a prefix, or names of their own. Exactly one is given."""

    in_place: bool = False
    suffix: str | None = None
    prefix: str | None = None
    names: Mapping[str, str] | None = None

    def of(self, tables: Sequence[str]) -> dict[str, str]:
        """Returns each table's target. Raises UsageError if a name is none, or if two tables have one target."""
        given = [each for each in (self.in_place or None, self.suffix, self.prefix, self.names) if each is not None]
        if len(given) != 1:
            raise UsageError(
                "choose exactly one of --in-place, --suffix, --prefix, --map", hint="Several tables need a target each."
            )
        if self.in_place:
            return {table: table for table in tables}
        found = {table: self._name(table) for table in tables}
        self._check(found)
        return found

    def _name(self, table: str) -> str:
        if self.names is None:
            return f"{self.prefix or ''}{table}{self.suffix or ''}"
        if table not in self.names:
            raise UsageError(f"--map names no target for {table!r}", hint="Write a line of it: TABLE TARGET.")
        return self.names[table]

    def _check(self, found: Mapping[str, str]) -> None:
        unknown = [] if self.names is None else [each for each in self.names if each not in found]
        if unknown:
            raise UsageError(f"--map names {unknown[0]!r}, which is not among the selected tables")
        sources: dict[str, str] = {}
        for table, target in found.items():
            check_table_name(target)
            if target in found:
                raise UsageError(
                    f"the target of {table!r} is {target!r} itself, one of the tables",
                    hint="Restore --in-place, or choose new names.",
                )
            if target in sources:
                raise UsageError(
                    f"{sources[target]!r} and {table!r} have one target: {target!r}", hint="Each needs one of its own."
                )
            sources[target] = table


def read_map(text: str, path: str) -> dict[str, str]:
    """Returns the targets in a file: JSON (`{"TABLE": "TARGET"}`), or lines of `TABLE TARGET`. Raises UsageError for others."""
    if text.lstrip().startswith("{"):
        return _once(_pairs(text, path), path)
    found = []
    for line in filter(None, (each.split("#")[0].strip() for each in text.splitlines())):
        words = line.replace("=", " ").split()
        if len(words) != 2:
            raise UsageError(f"not a map of tables: {path}: {line!r:.300}", hint="Write a line for each: TABLE TARGET.")
        found.append((words[0], words[1]))
    return _once(found, path)


def _pairs(text: str, path: str) -> list[tuple[str, str]]:
    """Returns the members of a JSON object, one that is there twice, too."""
    try:
        return msgspec.convert(json.loads(text, object_pairs_hook=list), list[tuple[str, str]])
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"not a map of tables: {path}: {error}", hint='Write {"TABLE": "TARGET"}.') from error


def _once(pairs: Sequence[tuple[str, str]], path: str) -> dict[str, str]:
    """Returns the targets. Raises UsageError for a table that has two: nothing tells which one counts."""
    found: dict[str, str] = {}
    for table, target in pairs:
        if table in found:
            raise UsageError(f"{path} names {table!r} twice")
        found[table] = target
    return found
