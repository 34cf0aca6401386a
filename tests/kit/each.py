"""One object by `get_each`, as `get` would give it."""

from __future__ import annotations

from backstream.errors import BackstreamError
from backstream.ports import ObjectStore, StoredObject


def get_one(store: ObjectStore, name: str, version: str | None = None) -> StoredObject:
    """The object; its error is raised."""
    ((tag, outcome),) = store.get_each([("tag", name, version)])
    assert tag == "tag"
    if isinstance(outcome, BackstreamError):
        raise outcome
    return outcome
