"""Signatures by AWS KMS: the private key never leaves it.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html (a digest of 32 bytes, MessageType DIGEST)
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from backstream.boto_errors import boto_errors
from backstream.errors import Failed, UsageError
from backstream.stores.s3.failures import named

if TYPE_CHECKING:
    from botocore.client import BaseClient

ALGORITHMS = ("ECDSA_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256")


class _OtherAlgorithm(Failed):
    """The key does not sign in this way."""


class KmsKey:
    """An asymmetric key of KMS: `ECC_NIST_P256` or RSA, made to sign and verify."""

    def __init__(self, client: BaseClient, arn: str, algorithm: str = "") -> None:
        self._client: Any = client
        self._arn = arn
        self._algorithm = algorithm

    @property
    def arn(self) -> str:
        """The ARN of the key."""
        return self._arn

    @property
    def algorithm(self) -> str:
        """Returns the algorithm that it signs with. Raises UsageError if it is not a key that signs a digest of SHA-256."""
        if not self._algorithm:
            found = self._asked("GetPublicKey", "get_public_key").get("SigningAlgorithms", [])
            self._algorithm = next((each for each in ALGORITHMS if each in found), "")
        if not self._algorithm:
            raise UsageError(
                f"{self._arn} does not sign with any of {', '.join(ALGORITHMS)}",
                hint="Make one: aws kms create-key --key-usage SIGN_VERIFY --key-spec ECC_NIST_P256",
            )
        return self._algorithm

    def sign(self, statement: bytes) -> str:
        """Returns the signature of these bytes, base64."""
        digest = hashlib.sha256(statement).digest()
        for algorithm in ALGORITHMS if not self._algorithm else ():
            try:
                return self._signed(digest, algorithm)
            except _OtherAlgorithm:
                continue  # who may sign need not have the right to read which algorithms the key has
        return self._signed(digest, self.algorithm)

    def _signed(self, digest: bytes, algorithm: str) -> str:
        answer = self._asked("Sign", "sign", Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
        self._algorithm = algorithm
        return base64.b64encode(answer["Signature"]).decode()

    def public(self) -> bytes:
        """Returns its public key, DER."""
        found: bytes = self._asked("GetPublicKey", "get_public_key")["PublicKey"]
        return found

    def _asked(self, operation: str, method: str, **words: object) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, method)(KeyId=self._arn, **words)
        except boto_errors() as error:
            failure = named(error, operation, f"the KMS key {self._arn}")
            raise _OtherAlgorithm(str(failure)) if _is_of_algorithm(error) else failure from error
        return answer


def _is_of_algorithm(error: Exception) -> bool:
    """True if the error says that the key does not use this algorithm:
    https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html#API_Sign_Errors
    """
    said = getattr(error, "response", {}).get("Error", {})
    return bool(said.get("Code") == "InvalidKeyUsageException")
