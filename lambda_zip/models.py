"""botocore's data, made small: what a cold start would load of it is mostly prose, and endpoints of services never called."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

MODEL = "/service-2.json"
ENDPOINTS = "botocore/data/endpoints.json"
_DATA = re.compile(r"botocore/data/.*\.json\.gz")


def without_prose(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A wheel's files, with the names and contents under which botocore's data goes into the zip; other files as they are.

    Models become plain JSON (the zip compresses) without documentation: botocore reads `x.json` as it reads `x.json.gz`, and uses
    documentation for `help()` alone. Of `endpoints.json` stay the partitions with their regions and defaults, and what it says of
    the services whose models are there. The order of names stays, since botocore keeps it.
    """
    made = dict(_small(name, body) if _DATA.fullmatch(name) else (name, body) for name, body in files.items())
    if ENDPOINTS in made:
        made[ENDPOINTS] = _plain(_of(json.loads(made[ENDPOINTS]), _prefixes(made)))
    return made


def _small(name: str, body: bytes) -> tuple[str, bytes]:
    return name.removesuffix(".gz"), _plain(_without_documentation(json.loads(gzip.decompress(body))))


def _prefixes(files: Mapping[str, bytes]) -> frozenset[str]:
    """By which `endpoints.json` calls the services that there are models of: `monitoring`, not `cloudwatch`."""
    models = (json.loads(body) for name, body in files.items() if name.endswith(MODEL))
    return frozenset(model["metadata"]["endpointPrefix"] for model in models)


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


def _of(endpoints: dict[str, Any], prefixes: AbstractSet[str]) -> dict[str, Any]:
    partitions = [
        {**partition, "services": {name: each for name, each in partition["services"].items() if name in prefixes}}
        for partition in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _plain(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
