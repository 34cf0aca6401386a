"""Keys and stores that sign and verify, for tests."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backstream.apps.signing.ed25519 import Ed25519Key
from backstream.model.sealing import Signing
from backstream.ports import ObjectStore
from backstream.stores.signed import SigningStore, VerifyingStore

KEY = Ed25519Key(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def signing(since: float) -> Signing:
    """What a catalog says of the key."""
    return Signing(KEY.key, KEY.algorithm, int(since))


def signed(store: ObjectStore) -> SigningStore:
    """The store of writers that have the key."""
    return SigningStore(store, lambda _table, _signing: KEY)


def verified(store: ObjectStore) -> VerifyingStore:
    """The store of a reader who trusts that key alone."""
    return VerifyingStore(store, KEY.verifier())


def key_files(folder: Path) -> tuple[Path, Path]:
    """A new private key's file, and its public key's."""
    private = Ed25519PrivateKey.generate()
    secret, public = folder / "key.pem", folder / "key.pub"
    secret.write_bytes(
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return secret, public
