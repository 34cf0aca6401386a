"""The one error for a selection that matches nothing in any table."""

from __future__ import annotations

from collections.abc import Mapping

from backstream.errors import NothingMatches


def no_table_has_any(nothing: Mapping[str, NothingMatches]) -> NothingMatches:
    """Returns the one error for a selection that matches nothing in any table."""
    said = "; ".join(dict.fromkeys(each.message for each in nothing.values()))
    return NothingMatches(
        f"nothing is selected in any of {len(nothing)} tables: {said}",
        hint="\n".join(dict.fromkeys(each.hint for each in nothing.values() if each.hint)),
    )
