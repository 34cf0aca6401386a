"""The options of a restore that are the same for one table, for several, and for other sources than a vault."""

from __future__ import annotations

from typing import Any, TypedDict

from backstream.errors import UsageError


class RestoreOptions(TypedDict, total=False):
    """Options by keyword. `RestoreRequest` says what each means and has when it is not given.

    `max_write_units`: write units a second at most.
    """

    dry_run: bool
    allow_gap: bool
    patience: float
    max_write_units: float | None
    force: bool
    into_another: bool
    delete_unknown: bool
    expect_deletes: int | None


OF_EACH_TABLE = frozenset({"allow_gap", "into_another", "delete_unknown", "expect_deletes"})


def as_fields(options: RestoreOptions) -> dict[str, Any]:
    """Returns the options by the names that requests have for them."""
    return {"max_units" if name == "max_write_units" else name: value for name, value in options.items()}


def check_deletes(options: RestoreOptions, *, in_place: bool) -> None:
    """Raises UsageError if an option about deletes is given to a restore that deletes nothing."""
    about = options.get("into_another") or options.get("delete_unknown") or options.get("expect_deletes") is not None
    if about and not in_place:
        raise UsageError(
            "only a restore in place deletes rows",
            hint="--into-another, --delete-unknown and --expect-deletes go with --in-place.",
        )
