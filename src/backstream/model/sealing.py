"""What a signature in a vault is made over, and which objects have one: pure.

A signature vouches for one version of one object: its name, its bytes and its metadata. It stands in the metadata itself. Row
objects have none: the signed line of the log that names a row version has the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from backstream.model.tables.naming import SYSTEM_FOLDER

SIGNATURE = "signature"
PREVIOUS = "previous"  # of a catalog: the version upon which it was made
NONE = "none"
_DOMAIN = "backstream-object-1"
_SEALED = re.compile(
    rf"{SYSTEM_FOLDER}/(?P<table>[^/]+)/(?:(?P<catalog>catalog\.json)|(?:log|base|compacted|gaps|agreed|redriven|actors)/.+)"
)


class Signing(msgspec.Struct, frozen=True):
    """How a table's vault is signed, as its catalog says.

    `key`: `kms:ARN`, or `ed25519:FINGERPRINT`; `since`: the second from which on; `algorithm`: as KMS calls it. Who
    verifies trusts a key of his own, never this record.
    """

    key: str
    algorithm: str
    since: int


class _Catalog(msgspec.Struct, frozen=True):
    signing: Signing | None = None


def table_of(name: str) -> str | None:
    """The table of whose vault an object is one that is signed; None for any other object."""
    found = _SEALED.fullmatch(name)
    return None if found is None else found["table"]


def is_catalog(name: str) -> bool:
    """Whether it is a table's catalog, which alone of all signed objects has one version after the other."""
    found = _SEALED.fullmatch(name)
    return found is not None and found["catalog"] is not None


def signing_of(catalog: bytes) -> Signing | None:
    """How a vault is signed, by its catalog's bytes; None where it is not, or where they cannot be read: others say so."""
    try:
        return msgspec.json.decode(catalog, type=_Catalog).signing
    except (msgspec.MsgspecError, RecursionError):
        return None


def statement(name: str, body: bytes, metadata: Mapping[str, str]) -> bytes:
    """What is signed: all that there is to know of a version, but its signature."""
    said = sorted((key, value) for key, value in metadata.items() if key != SIGNATURE)
    return msgspec.json.encode([_DOMAIN, name, hashlib.sha256(body).hexdigest(), said])
