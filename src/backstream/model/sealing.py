"""Defines what a signature in a vault covers, and which objects have one. Pure.

A signature vouches for one version of one object: its name, its bytes and its metadata. It stands in the metadata itself. Row
objects have none: the signed line of the log that names a row version has the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from backstream.model.tables.naming import SYSTEM_FOLDER

SIGNATURE = "signature"
PREVIOUS = "previous"  # of a catalog: the version upon which it was made
NONE = "none"
_DOMAIN = "backstream-object-1"
_SEALED = re.compile(
    rf"{SYSTEM_FOLDER}/(?P<table>[^/]+)/(?:(?P<catalog>catalog\.json)|(?:log|base|compacted|gaps|agreed|redriven|actors|erasures)/.+)"
)


class Signing(msgspec.Struct, frozen=True):
    """The signing of a table's vault, as its catalog states it.

    `key`: `kms:ARN`, or `ed25519:FINGERPRINT`; `since`: the first second of signing; `algorithm`: in KMS's terms. A verifier trusts
    its own key, never this record.
    """

    key: str
    algorithm: str
    since: int


class _Catalog(msgspec.Struct, frozen=True):
    signing: Signing | None = None


def table_of(name: str) -> str | None:
    """Returns the table that a signed object's vault belongs to; None for any other object."""
    found = _SEALED.fullmatch(name)
    return None if found is None else found["table"]


def is_catalog(name: str) -> bool:
    """True for a table's catalog. It is the only signed object with one version after the other."""
    found = _SEALED.fullmatch(name)
    return found is not None and found["catalog"] is not None


@lru_cache(maxsize=16)
def signing_of(catalog: bytes) -> Signing | None:
    """Returns the signing of a vault, from its catalog's bytes; None if it is not signed, or if they cannot be read: others report
    that.
    """
    try:
        return msgspec.json.decode(catalog, type=_Catalog).signing
    except (msgspec.MsgspecError, RecursionError):
        return None


def statement(name: str, body: bytes, metadata: Mapping[str, str]) -> bytes:
    """Returns the bytes to sign: everything about a version except its signature."""
    return statement_of(name, hashlib.sha256(body).hexdigest(), metadata)


def statement_of(name: str, digest: str, metadata: Mapping[str, str]) -> bytes:
    """Returns the same for bytes with that SHA-256 (hex)."""
    said = sorted((key, value) for key, value in metadata.items() if key != SIGNATURE)
    return msgspec.json.encode([_DOMAIN, name, digest, said])
