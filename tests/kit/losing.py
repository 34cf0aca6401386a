"""Objects that are gone for good, as a lifecycle rule or a delete of versions leaves them: no marker, nothing below."""

from __future__ import annotations

import shutil

from backstream.ports import ObjectStore, StoredObject
from backstream.stores.directory import DirectoryStore
from backstream.stores.file_names import to_path
from backstream.stores.memory import MemoryStore
from kit.aws import Aws
from kit.spoil import innermost


def lose(store: ObjectStore, name: str, version: str | None = None, *, aws: Aws | None = None) -> None:
    """Remove a version of an object, or all of them."""
    gone = [each.version for each in store.versions_of(name) if version in (None, each.version)]
    assert gone, (name, version)
    inner = innermost(store)
    if isinstance(inner, MemoryStore):
        there = inner._versions[name]
        there[:] = [each for each in there if (each.info if isinstance(each, StoredObject) else each).version not in gone]
    elif isinstance(inner, DirectoryStore):
        folder = inner._root.joinpath(*to_path(name))
        for each in gone:
            shutil.rmtree(folder / each)
    else:
        assert aws is not None
        bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
        for each in gone:
            aws.client("s3").delete_object(Bucket=bucket, Key=f"{prefix}/{name}" if prefix else name, VersionId=each)
