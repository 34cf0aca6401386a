"""The older tools as far as a bucket shows them: what they name an object, what they write into it, what they do with a delete.

Written from how these tools behave, with nothing of Backstream's own: tests hold its reading against this.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Item = Mapping[str, Any]


class Bucket(Protocol):
    """Where they write: an object store of ours, or boto3's S3 behind `S3Bucket`."""

    def put(self, name: str, body: bytes) -> str:
        """Add a version."""

    def delete(self, name: str) -> str:
        """Put a delete marker on top."""


def stringify(value: Any) -> bytes:
    """`JSON.stringify`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def as_node_buffers(value: Any) -> Any:
    """An item as AWS's SDK for JavaScript gives it (version 2: Buffers), and `JSON.stringify` writes it."""
    return _binary(value, lambda data: {"type": "Buffer", "data": list(data)})


def as_arrays(value: Any) -> Any:
    """The same of version 3: Uint8Arrays."""
    return _binary(value, lambda data: {str(place): byte for place, byte in enumerate(data)})


def _binary(value: Any, write: Any) -> Any:
    if isinstance(value, list):
        return [_binary(each, write) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {}
    for name, inner in value.items():
        if name == "B" and isinstance(inner, str):
            found[name] = write(base64.b64decode(inner))
        elif name == "BS" and isinstance(inner, list) and all(isinstance(each, str) for each in inner):
            found[name] = [write(base64.b64decode(each)) for each in inner]
        else:
            found[name] = _binary(inner, write)
    return found


class Replicator:
    """dynamodb-replicator: md5 at first, sha256 later. `keys`: the key attributes in the order of the events."""

    def __init__(self, bucket: Bucket, table: str, keys: Sequence[str], digest: str = "sha256") -> None:
        self.bucket = bucket
        self.table = table
        self.keys = keys
        self.digest = digest

    def name(self, item: Item, keys: Sequence[str] | None = None) -> str:
        """The object of an item."""
        key = {name: item[name] for name in keys or self.keys}
        return f"{self.table}/{hashlib.new(self.digest, stringify(key)).hexdigest()}"

    def put(self, item: Item, old: Item | None = None) -> None:  # noqa: ARG002 - the fork looks at it
        """An INSERT or MODIFY from the stream."""
        self.bucket.put(self.name(item), stringify(item))

    def delete(self, old: Item) -> None:
        """A REMOVE."""
        self.bucket.delete(self.name(old))

    def backfill(self, item: Item, keys: Sequence[str]) -> None:
        """Its backfill names by the key schema's order, and its commands by the sorted one."""
        self.bucket.put(self.name(item, keys), stringify(item))


class Fork(Replicator):
    """PageUp's fork: md5, or plain names of the sorted key attributes; and a folder for each tenant."""

    def __init__(self, bucket: Bucket, table: str, keys: Sequence[str], *, plain: bool = False, tenant: str | None = None) -> None:
        super().__init__(bucket, table, keys, "md5")
        self.plain = plain
        self.tenant = tenant

    def name(self, item: Item, keys: Sequence[str] | None = None) -> str:
        """The object of an item."""
        found = super().name(item, keys).partition("/")[2]
        if self.plain:
            found = " | ".join(next(iter(item[name].values())) for name in sorted(self.keys))
        folder = [] if self.tenant is None else [next(iter(item[self.tenant].values()))]
        return "/".join([self.table, *folder, found])


class DynamoDbBackUp(Replicator):
    """DynamoDbBackUp: md5; the prefix is given whole, by custom the table's name. `full` writes what a scan by the SDK gives."""

    def __init__(self, bucket: Bucket, prefix: str, keys: Sequence[str]) -> None:
        super().__init__(bucket, prefix, keys, "md5")

    def full(self, item: Item) -> None:
        """A full backup's object: binary as Buffers, in the name too."""
        self.put(as_node_buffers(item))

    def gone(self, item: Item) -> None:
        """A KEYS_ONLY stream, and the item gone by the time it was read: an empty object of JSON."""
        self.bucket.put(self.name(item), b"{}")
