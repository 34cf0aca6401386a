"""Keys that sign and verify, by `cryptography`: the extra `backstream[sign]`. A function that signs with KMS does not need it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from backstream.errors import UsageError
from backstream.ports import Verifier

_Public = Ed25519PublicKey | ec.EllipticCurvePublicKey | RSAPublicKey


class PublicKey:
    """See `ports.Verifier`."""

    def __init__(self, public: _Public, key: str) -> None:
        self._public = public
        self._key = key

    @property
    def key(self) -> str:
        return self._key

    def verifies(self, statement: bytes, signature: str) -> bool:
        try:
            self._verify(base64.b64decode(signature, validate=True), statement)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def _verify(self, signature: bytes, statement: bytes) -> None:
        match self._public:
            case Ed25519PublicKey():
                self._public.verify(signature, statement)
            case ec.EllipticCurvePublicKey():
                self._public.verify(signature, statement, ec.ECDSA(hashes.SHA256()))
            case RSAPublicKey():
                self._public.verify(signature, statement, padding.PKCS1v15(), hashes.SHA256())


class Ed25519Key:
    """See `ports.HeadSigner`: a private key in a file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @property
    def key(self) -> str:
        return name_of(self._private.public_key())

    @property
    def algorithm(self) -> str:
        return "ED25519_SHA_512"

    def sign(self, statement: bytes) -> str:
        return base64.b64encode(self._private.sign(statement)).decode()

    def verifier(self) -> Verifier:
        return PublicKey(self._private.public_key(), self.key)


def name_of(public: Ed25519PublicKey) -> str:
    """Returns the name of a key: `ed25519:` and the first digits of its SHA-256."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"ed25519:{hashlib.sha256(raw).hexdigest()[:16]}"


def ed25519_of(path: Path) -> Ed25519Key:
    """Returns the private key of a PEM file, as `openssl genpkey -algorithm ed25519` makes it.

    Raises UsageError if it is not one.
    """
    try:
        private = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no private key: {error}", hint=_MAKE) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path} is no Ed25519 key", hint=_MAKE)
    return Ed25519Key(private)


def public_of(path: Path) -> Verifier:
    """Returns the public key of a PEM file, or the public part of a private one.

    Raises UsageError if vaults are not signed with such a key.
    """
    pem = _read(path)
    try:
        if b"PRIVATE KEY" in pem:
            return ed25519_of(path).verifier()
        return _verifier(serialization.load_pem_public_key(pem), str(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no public key: {error}", hint=_PUBLIC) from error


def public_of_der(der: bytes, key: str) -> Verifier:
    """A public key as KMS gives it out."""
    return _verifier(serialization.load_der_public_key(der), key)


def _verifier(public: object, key: str) -> Verifier:
    if isinstance(public, Ed25519PublicKey):
        return PublicKey(public, name_of(public))
    if isinstance(public, ec.EllipticCurvePublicKey | RSAPublicKey):
        return PublicKey(public, key)
    raise UsageError(f"{key} is no key that vaults are signed with", hint=_PUBLIC)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}", hint=_MAKE) from error


_MAKE = "Make one: openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC = "Write out its public half: openssl pkey -in key.pem -pubout -out key.pub"
