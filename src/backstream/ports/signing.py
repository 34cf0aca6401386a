"""Signatures: made with a key that no reader has, checked with a key that everybody may have."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Verifier(Protocol):
    """A public key."""

    @property
    def key(self) -> str:
        """The name of the key, for people and messages."""

    def verifies(self, statement: bytes, signature: str) -> bool:
        """True if a signature (base64) of these bytes was made with that key. False for text that is not a signature."""


class HeadSigner(Protocol):
    """A private key, or the right to use one. Safe to call from many threads."""

    @property
    def key(self) -> str:
        """The name of the key: `kms:ARN`, or `ed25519:FINGERPRINT`."""

    @property
    def algorithm(self) -> str:
        """The algorithm in KMS's terms: `ECDSA_SHA_256`, `RSASSA_PKCS1_V1_5_SHA_256` or `ED25519_SHA_512`."""

    def sign(self, statement: bytes) -> str:
        """Returns the signature of these bytes, base64.

        Raises `AccessDenied`, `Unavailable` or `Failed` if there is none to be had.
        """

    def verifier(self) -> Verifier:
        """Its public key."""


@runtime_checkable
class Vouching(Protocol):
    """A store that returns only signed objects. A reader asks it to vouch for a statement that rests on an object's name alone."""

    def vouch(self, name: str, version: str | None) -> None:
        """Returns if a version (None: the current one) of an object is signed; raises `NotSigned` otherwise."""

    def is_covered(self, modified: float) -> bool:
        """True if an object that the store received at that second must be signed."""
