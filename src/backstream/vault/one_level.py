"""Lists one level of names: the folders right below a prefix, and the objects beside them. It does not look into the folders."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.ports import ObjectStore, ObjectVersion

_LAST = "\U0010ffff"  # sorts after every other character


def one_level(store: ObjectStore, prefix: str) -> Iterator[tuple[str, ObjectVersion]]:
    """Yields the folders right below a prefix, each with its slash, and the names of the objects beside them.

    Each comes once, with the first row of a listing of versions, in the order of the names. Costs a LIST for each.
    """
    after, last = "", ""
    while (row := next(store.versions(prefix, after=after), None)) is not None:
        first, slash, _ = row.name.removeprefix(prefix).partition("/")
        if first + slash != last:
            last = first + slash
            yield last, row
            # Not `first` and "0", which follows the slash: an object of that very name would be passed over, and an object that is
            # named like a folder would hide it.
            after = f"{prefix}{last}{_LAST}" if slash else row.name
        else:  # a name of the same folder that begins with the last character
            after = row.name


def folders_in(store: ObjectStore, prefix: str) -> Iterator[tuple[str, ObjectVersion]]:
    """Yields the folders alone, without their slash."""
    return ((name[:-1], row) for name, row in one_level(store, prefix) if name.endswith("/"))
