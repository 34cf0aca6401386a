"""The demands that a bucket's policy may make of each request to it: encryption, who pays, storage classes.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec

from backstream.errors import UsageError

NOTHING = "none"  # in place of an encryption: none is asked for
REQUESTER = "requester"
PAYER_HEADER = "x-amz-request-payer"
SSE_HEADER = "x-amz-server-side-encryption"
KEY_HEADER = f"{SSE_HEADER}-aws-kms-key-id"
BUCKET_KEY_HEADER = f"{SSE_HEADER}-bucket-key-enabled"
CLASS_HEADER = "x-amz-storage-class"
# The variables of the environment that name them.
ENCRYPTION, KEY, BUCKET_KEY = "BACKSTREAM_SSE", "BACKSTREAM_KMS_KEY", "BACKSTREAM_BUCKET_KEY"
PAYER, LOG_CLASS, ROWS_CLASS = "BACKSTREAM_REQUEST_PAYER", "BACKSTREAM_LOG_CLASS", "BACKSTREAM_ROWS_CLASS"
OLDER_VARIABLES = {ENCRYPTION: "ServerSideEncryption", KEY: "SSEKMSKeyId"}  # the same, in the older tools' functions
# Objects of these classes cannot be read at once, or lie in buckets that keep no versions:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
UNFIT_CLASSES = ("GLACIER", "DEEP_ARCHIVE", "EXPRESS_ONEZONE")
_CLASS = re.compile("[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]{1,2048}")
# The vault's bulk. Its other objects are few and small, and read by every command: they stay in the usual class.
_LINES = re.compile(r"(?:^|/)_backstream/[^/]+/(?:log/|base/(?!complete/)|compacted/(?!generations/))")
_SYSTEM = re.compile(r"(?:^|/)_backstream/")


class Encryption(StrEnum):
    """The encryption that is asked for: with S3's own keys, with a key of KMS, with two layers by KMS."""

    S3 = "AES256"
    KMS = "aws:kms"
    TWICE = "aws:kms:dsse"


class RequestSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings of requests to one bucket; None: not set.

    `sse`: the encryption of new objects; `kms_key`: its key, an id, ARN or alias; `bucket_key`: ask KMS once for many objects;
    `requester_pays`: these credentials' account pays; `log_class`, `rows_class`: storage classes of the log (with base backups),
    and of row objects.
    """

    sse: Encryption | None = None
    kms_key: str | None = None
    bucket_key: bool | None = None
    requester_pays: bool | None = None
    log_class: str | None = None
    rows_class: str | None = None

    def over(self, other: RequestSettings) -> RequestSettings:
        """Returns these, with the other's value for each one that is not set here. An encryption is one thing: its key goes with
        it."""
        encrypted = self if self.sse is not None else other
        return RequestSettings(
            sse=encrypted.sse,
            kms_key=encrypted.kms_key,
            bucket_key=encrypted.bucket_key,
            requester_pays=other.requester_pays if self.requester_pays is None else self.requester_pays,
            log_class=self.log_class or other.log_class,
            rows_class=self.rows_class or other.rows_class,
        )

    def without_encryption(self) -> RequestSettings:
        """Returns these without an encryption."""
        return msgspec.structs.replace(self, sse=None, kms_key=None, bucket_key=None)

    @property
    def of_every_request(self) -> Mapping[str, str]:
        """The headers of each request."""
        return _of_every_request(self)

    def of_put(self, key: str) -> Mapping[str, str]:
        """Returns the headers of a PutObject to this key, besides."""
        return _NO_HEADERS if self == USUAL else _of_put(self, self._class_of(key))

    def variables(self) -> dict[str, str]:
        """Returns the variables of the environment that name these settings."""
        given = {
            ENCRYPTION: self.sse.value if self.sse is not None else "",
            KEY: self.kms_key or "",
            BUCKET_KEY: "" if self.bucket_key is None else str(self.bucket_key).lower(),
            PAYER: REQUESTER if self.requester_pays else "",
            LOG_CLASS: self.log_class or "",
            ROWS_CLASS: self.rows_class or "",
        }
        return {name: value for name, value in given.items() if value}

    def _class_of(self, key: str) -> str | None:
        """Returns the storage class of an object of the vault; None for the usual one."""
        return self.rows_class if _SYSTEM.search(key) is None else self.log_class if _LINES.search(key) is not None else None

    def described(self) -> list[str]:
        """Returns a text for each setting."""
        key = "" if self.kms_key is None else f" with {self.kms_key}"
        bucket_key = {None: "", True: ", with a bucket key", False: ", without a bucket key"}[self.bucket_key]
        return [
            *([f"encrypted by {self.sse}{key}{bucket_key}"] if self.sse is not None else []),
            *(["the requester pays"] if self.requester_pays else []),
            *([f"log in {self.log_class}"] if self.log_class else []),
            *([f"rows in {self.rows_class}"] if self.rows_class else []),
        ]

    def check(self) -> RequestSettings:
        """Returns itself. Raises UsageError if S3 refuses such a combination, or a vault cannot live with it."""
        if self.kms_key is not None and (self.sse not in (Encryption.KMS, Encryption.TWICE) or not _KEY.fullmatch(self.kms_key)):
            raise UsageError(
                f"no key of KMS for {self.sse or 'no encryption'}: {self.kms_key!r}", hint="Give --sse aws:kms --kms-key ARN."
            )
        if self.bucket_key and self.sse is not Encryption.KMS:
            raise UsageError("only objects encrypted by aws:kms can have a bucket key", hint="Give --sse aws:kms, or leave it out.")
        for name in (self.log_class, self.rows_class):
            if name is not None and (not _CLASS.fullmatch(name) or name in UNFIT_CLASSES):
                raise UsageError(
                    f"no storage class for a vault: {name!r}",
                    hint="A restore reads objects at once: choose STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR, for example.",
                )
        return self


USUAL = RequestSettings()
_NO_HEADERS: Mapping[str, str] = {}


def of_words(
    *,
    sse: str | None = None,
    kms_key: str | None = None,
    bucket_key: bool | None = None,
    requester_pays: bool | None = None,
    log_class: str | None = None,
    rows_class: str | None = None,
) -> RequestSettings:
    """Returns the settings of somebody's words. A key of KMS alone asks for `aws:kms`. Raises UsageError for an impossible
    setting."""
    encryption = _encryption(sse) if sse else Encryption.KMS if kms_key else None
    found = RequestSettings(encryption, kms_key or None, bucket_key, requester_pays, log_class or None, rows_class or None)
    return found.check()


def _encryption(text: str) -> Encryption:
    try:
        return Encryption(text)
    except ValueError as error:
        raise UsageError(f"no encryption of S3: {text!r}", hint=f"One of {', '.join(Encryption)}.") from error


@lru_cache(maxsize=64)
def _of_every_request(settings: RequestSettings) -> Mapping[str, str]:
    return {PAYER_HEADER: REQUESTER} if settings.requester_pays else {}


@lru_cache(maxsize=64)
def _of_put(settings: RequestSettings, storage_class: str | None) -> Mapping[str, str]:
    encrypted = {SSE_HEADER: settings.sse.value} if settings.sse is not None else {}
    by_key = {KEY_HEADER: settings.kms_key} if settings.kms_key is not None else {}
    once = {} if settings.bucket_key is None else {BUCKET_KEY_HEADER: str(settings.bucket_key).lower()}
    return {**encrypted, **by_key, **once, **({CLASS_HEADER: storage_class} if storage_class else {})}
