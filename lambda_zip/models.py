"""botocore's data, made small: what a cold start would load of it is mostly prose, and endpoints of services never called."""

from __future__ import annotations

import gzip
import json
from collections.abc import Set as AbstractSet
from typing import Any

COMPRESSED = ".json.gz"


def small(name: str, body: bytes, services: AbstractSet[str]) -> tuple[str, bytes]:
    """A data file's name and contents as they go into the zip: models as plain JSON (the zip compresses) and without documentation.

    botocore reads `x.json` as it reads `x.json.gz`, and uses documentation for `help()` alone. Of `endpoints.json` stay the
    partitions with their regions and defaults, and what it says of `services`. The order of names stays, since botocore keeps it.
    """
    if name.endswith(COMPRESSED):
        return name.removesuffix(".gz"), _plain(_without_documentation(json.loads(gzip.decompress(body))))
    if name == "botocore/data/endpoints.json":
        return name, _plain(_of(json.loads(body), services))
    return name, body


def _without_documentation(value: Any) -> Any:
    """The texts become empty and stay: botocore asks for some by name. A member called `documentation` is no text but a shape."""
    if isinstance(value, list):
        return [_without_documentation(each) for each in value]
    if isinstance(value, dict):
        return {
            key: "" if key == "documentation" and isinstance(each, str) else _without_documentation(each)
            for key, each in value.items()
        }
    return value


def _of(endpoints: dict[str, Any], services: AbstractSet[str]) -> dict[str, Any]:
    partitions = [
        {**partition, "services": {name: each for name, each in partition["services"].items() if name in services}}
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _plain(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
