"""Describes the differences between two settings of a table, for an operator. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.tables.settings import PARTS, AutoScaling, TableSettings

LONGEST = 60  # characters of a value that are shown
_CAPACITIES = ("ReadCapacityUnits", "WriteCapacityUnits")
_LINES = {"GlobalSecondaryIndexes": "IndexName", "LocalSecondaryIndexes": "IndexName", "Replicas": "RegionName"}


def differences(known: TableSettings, seen: TableSettings) -> list[str]:
    """Returns the differences that are worth another version of the catalog: `["tags: team added", "time to live: none ->
    expires"]`.

    A part that is unknown in `seen` does not differ: a reader without the permission has no news. Two readers that see different
    parts would otherwise take turns for ever. A part that is no longer unknown is news, even if it is unchanged.
    """
    words = _table_changes(known, seen)
    for part, name in PARTS.items():
        if part not in seen.unknown:
            words += _part_changes(name, getattr(known, part), getattr(seen, part))
    found = [name for part, name in PARTS.items() if part in known.unknown and part not in seen.unknown]
    return [*words, f"now known: {', '.join(found)}"] if found else words


def lost(known: TableSettings, seen: TableSettings) -> list[str]:
    """Returns the parts that were known and cannot be seen now, with the reason."""
    return [f"{name}: {seen.unknown[part]}" for part, name in PARTS.items() if part in seen.unknown and part not in known.unknown]


# --- the table's own description --------------------------------------------------------------------------------------------------


def _table_changes(known: TableSettings, seen: TableSettings) -> list[str]:
    scaled = _scaled(known.autoscaling) | _scaled(seen.autoscaling)
    old, new = _still(known.table, scaled), _still(seen.table, scaled)
    words = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after and name in _LINES:
            words.append(f"{name}: {_by_name(_lines(name, before), _lines(name, after))}")
        elif before != after:
            words.append(f"{name}: {_brief(before)} -> {_brief(after)}")
    return words


def _scaled(autoscaling: AutoScaling) -> set[tuple[str | None, str]]:
    """Returns the parts whose capacity auto scaling sets: (index or None for the table, `ReadCapacityUnits`)."""
    return {
        (str(target.get("ResourceId")).partition("/index/")[2] or None, str(target.get("ScalableDimension")).rpartition(":")[2])
        for target in autoscaling.targets
    }


def _still(table: Mapping[str, Any], scaled: set[tuple[str | None, str]]) -> dict[str, Any]:
    """Returns a description without the numbers that AWS moves: warm throughput (it grows with use), and capacity under auto
    scaling.
    """
    still = _still_part(table, scaled, None)
    if "GlobalSecondaryIndexes" in still:
        still["GlobalSecondaryIndexes"] = [_still_part(each, scaled, each["IndexName"]) for each in still["GlobalSecondaryIndexes"]]
    if "Replicas" in still:
        still["Replicas"] = [_without_warmth(each) for each in still["Replicas"]]
    return still


def _still_part(part: Mapping[str, Any], scaled: set[tuple[str | None, str]], index: str | None) -> dict[str, Any]:
    still = {name: value for name, value in part.items() if name != "WarmThroughput"}
    if "ProvisionedThroughput" in still:
        moving = [name for name in _CAPACITIES if (index, name) in scaled]
        still["ProvisionedThroughput"] = {
            name: value for name, value in still["ProvisionedThroughput"].items() if name not in moving
        }
    return still


def _without_warmth(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_warmth(each) for name, each in value.items() if name != "WarmThroughput"}
    return [_without_warmth(each) for each in value] if isinstance(value, list) else value


def _lines(name: str, lines: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {str(line.get(_LINES[name])): line for line in lines or ()}


# --- the other parts --------------------------------------------------------------------------------------------------------------


def _part_changes(name: str, old: object, new: object) -> list[str]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"{name}: {_by_name(old, new)}"]
    if isinstance(old, AutoScaling) and isinstance(new, AutoScaling):
        kinds = ("targets", "policies", "scheduled_actions")
        return [f"{name}: {kind.replace('_', ' ')} changed" for kind in kinds if getattr(old, kind) != getattr(new, kind)]
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    return [] if before == after else [f"{name}: {_brief(before)} -> {_brief(after)}"]


def _by_name(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Returns `a added, b removed, c changed`."""
    what = dict.fromkeys(new.keys() - old.keys(), "added") | dict.fromkeys(old.keys() - new.keys(), "removed")
    what |= {each: "changed" for each in old.keys() & new.keys() if old[each] != new[each]}
    return ", ".join(f"{each} {what[each]}" for each in sorted(what))


def _brief(value: object) -> str:
    if value is None or value in ([], {}):
        return "none"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
