"""Damage to a vault's objects as disks and wrong hands do it: no version on top, but other bytes in place of the only ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.stores.s3.store import S3Store


def spoil(store: ObjectStore, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> str:
    """Let nothing but these bytes ever have been written under a name; their version."""
    remove(store, name)
    return store.put(name, body, metadata)


def remove(store: ObjectStore, name: str) -> None:
    """Remove all versions of a name, for which no store of ours has a way."""
    inner = innermost(store)
    if isinstance(inner, MemoryStore):
        inner._versions.pop(name, None)
    elif isinstance(inner, DirectoryStore):
        shutil.rmtree(inner._folder(name))
    elif isinstance(inner, S3Store):
        api: Any = getattr(inner._api, "_control", inner._api)
        client, bucket = api._client, api.bucket
        for each in list(store.versions_of(name)):
            client.delete_object(Bucket=bucket, Key=inner._root + name, VersionId=each.version)
    else:
        raise TypeError(type(inner))


def innermost(store: ObjectStore) -> object:
    """The store within all that stands around it."""
    inner: object = store
    while (below := getattr(inner, "_inner", None) or getattr(inner, "_store", None)) is not None:
        inner = below
    return inner
