"""Finds the keys that sign and verify, from options and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from backstream.errors import Refused, UsageError
from backstream.model.sealing import Signing
from backstream.ports import HeadSigner, ObjectStore, Verifier
from backstream.stores.kms import KmsKey
from backstream.stores.signed import SigningStore, VerifyingStore

if TYPE_CHECKING:
    from botocore.client import BaseClient

SIGN_VARIABLE = "BACKSTREAM_SIGN"
VERIFY_VARIABLE = "BACKSTREAM_VERIFY_KEY"
KMS, ED25519 = "kms:", "ed25519:"
_INSTALL = "Install it: pip install 'backstream[sign]'."
ClientOf = Callable[[str], "BaseClient"]  # of KMS, by a key's ARN


class Keys:
    """One process's keys. `verify_key`: `kms:ARN` or a file; None: from the environment."""

    def __init__(self, client_of: ClientOf, verify_key: str | None) -> None:
        self._client_of = client_of
        self._verify_key = verify_key

    @property
    def verifies(self) -> bool:
        """True if only signed objects are trusted."""
        return bool(self._verify_key or os.environ.get(VERIFY_VARIABLE, ""))

    @cached_property
    def signer(self) -> HeadSigner | None:
        """The key in the environment; None if it names none."""
        text = os.environ.get(SIGN_VARIABLE, "")
        return signer_of(text, self._client_of) if text else None

    def sign_with(self, text: str, now: float) -> Signing:
        """Signs with this key from now on, whatever the environment says. Returns the entry for the catalog."""
        self.signer = signer = signer_of(text, self._client_of)
        return Signing(signer.key, signer.algorithm, int(now) + 1)

    def signer_of(self, table: str, signing: Signing | None) -> HeadSigner | None:
        """Returns the signer of a table's objects.

        Raises Refused if its vault is signed with a key that this process does not have.
        """
        if self.signer is not None:
            return self.signer
        if signing is None:
            return None
        if signing.key.startswith(KMS):
            return signer_of(signing.key, self._client_of, signing.algorithm)
        raise Refused(
            f"the vault of {table} is signed with {signing.key}: without that key nothing is written",
            hint=f"Set {SIGN_VARIABLE}=ed25519:FILE to the private key's file.",
        )

    def signing(self, store: ObjectStore) -> ObjectStore:
        """Returns the store, which signs the vault's own objects."""
        return SigningStore(store, self.signer_of)

    def verifying(self, store: ObjectStore) -> ObjectStore:
        """Returns the store, which returns only signed objects if a key to verify with is named."""
        text = self._verify_key or os.environ.get(VERIFY_VARIABLE, "")
        return VerifyingStore(store, verifier_of(text, self._client_of)) if text else store

    @staticmethod
    def verified_by(signer: HeadSigner, store: ObjectStore) -> ObjectStore:
        """Returns the same for a process that signs: its own key is the one to trust."""
        return store if isinstance(store, VerifyingStore) else VerifyingStore(store, signer.verifier())


class KmsSigner:
    """See `ports.Signer`."""

    def __init__(self, key: KmsKey) -> None:
        self._kms = key

    @property
    def key(self) -> str:
        return KMS + self._kms.arn

    @property
    def algorithm(self) -> str:
        return self._kms.algorithm

    def sign(self, statement: bytes) -> str:
        return self._kms.sign(statement)

    def verifier(self) -> Verifier:
        return _kms_verifier(self._kms)


def signer_of(text: str, client_of: ClientOf, algorithm: str = "") -> HeadSigner:
    """Returns the key of `kms:ARN` or `ed25519:FILE`. Raises UsageError if it is neither."""
    if text.startswith(KMS):
        arn = text.removeprefix(KMS)
        return KmsSigner(KmsKey(client_of(arn), arn, algorithm))
    if text.startswith(ED25519):
        ed25519: HeadSigner = _keys().ed25519_of(Path(text.removeprefix(ED25519)))
        return ed25519
    raise UsageError(f"no key to sign with: {text!r}", hint="Write kms:ARN or ed25519:FILE.")


def verifier_of(text: str, client_of: ClientOf) -> Verifier:
    """Returns the key of `kms:ARN`, or of a file (PEM). Raises UsageError if it is not one."""
    if text.startswith(KMS):
        arn = text.removeprefix(KMS)
        return _kms_verifier(KmsKey(client_of(arn), arn))
    verifier: Verifier = _keys().public_of(Path(text.removeprefix(ED25519)))
    return verifier


def _kms_verifier(key: KmsKey) -> Verifier:
    verifier: Verifier = _keys().public_of_der(key.public(), KMS + key.arn)
    return verifier


def _keys() -> ModuleType:
    """Returns `signing_keys`, by its name: it is an extra, which a function's zip lacks.

    Raises UsageError if it is not installed.
    """
    try:
        return import_module("backstream.apps.signing.ed25519")
    except ImportError as error:
        raise UsageError(f"this needs cryptography: {error}", hint=_INSTALL) from error
