"""Signatures: made with a key that no reader has, checked with one that everybody may have."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Verifier(Protocol):
    """A public key."""

    @property
    def key(self) -> str:
        """Which key it is, for people and messages."""

    def verifies(self, statement: bytes, signature: str) -> bool:
        """Whether a signature (base64) of these bytes was made with that key. False for what is no signature."""


class HeadSigner(Protocol):
    """A private key, or the right to use one. Safe to call from many threads."""

    @property
    def key(self) -> str:
        """Which key it is: `kms:ARN`, or `ed25519:FINGERPRINT`."""

    @property
    def algorithm(self) -> str:
        """How it signs, as KMS calls it: `ECDSA_SHA_256`, `RSASSA_PKCS1_V1_5_SHA_256` or `ED25519_SHA_512`."""

    def sign(self, statement: bytes) -> str:
        """The signature of these bytes, base64. `AccessDenied`, `Unavailable`, `Failed` where there is none to be had."""

    def verifier(self) -> Verifier:
        """Its public key."""


@runtime_checkable
class Vouching(Protocol):
    """A store that gives out nothing but what is signed. What a reader believes of an object's name alone it asks this for."""

    def vouch(self, name: str, version: str | None) -> None:
        """Return where a version (None: the current one) of an object is signed; `NotSigned` otherwise."""

    def is_covered(self, modified: float) -> bool:
        """Whether what the store received at that second has to be signed."""
