"""The terms on which this process speaks to buckets: whose they are, and the settings that their policies demand of requests.

S3 refuses a request to a bucket of another account, also of one that took its name. The environment or the vault's catalog names
the owner and the settings. Requests to a bucket with an unknown owner state none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cached_property, lru_cache, partial

import msgspec

from backstream.errors import UsageError
from backstream.model import request_settings
from backstream.model.request_settings import (
    BUCKET_KEY,
    ENCRYPTION,
    KEY,
    LOG_CLASS,
    OLDER_VARIABLES,
    PAYER,
    ROWS_CLASS,
    RequestSettings,
)
from backstream.model.tables.naming import SYSTEM_FOLDER
from backstream.model.values.decoding import UNDECODABLE
from backstream.stores.s3.api import Terms

VAULT, FAILURES, FILES = "BACKSTREAM_BUCKET_OWNER", "BACKSTREAM_FAILURES_OWNER", "BACKSTREAM_FILES_OWNER"
FILES_ENCRYPTION, FILES_KEY = "BACKSTREAM_FILES_SSE", "BACKSTREAM_FILES_KMS_KEY"


class _Said(msgspec.Struct, frozen=True):
    """The part of a catalog that is about requests to the bucket."""

    bucket_owner: str | None = None
    requests: RequestSettings | None = None


@lru_cache(maxsize=16)
def _said_in(catalog: bytes) -> _Said | None:
    try:
        return msgspec.json.decode(catalog, type=_Said)
    except UNDECODABLE:
        return None


class BucketOwners:
    """The accounts that one process expects as owners of buckets, and the settings of its requests. The environment takes
    precedence over the catalog.
    """

    def __init__(self) -> None:
        self._recorded: str | None = None
        self._asked = request_settings.USUAL
        self._forget = False
        self._known: dict[str, RequestSettings] = {}

    def record(self, account: str | None) -> None:
        """Notes the owner of the vault's bucket from the catalog."""
        self._recorded = account or self._recorded

    def ask(self, settings: RequestSettings, owner: str | None, *, forget_encryption: bool = False) -> None:
        """Notes what a caller has asked for: it takes precedence over the catalogs. `forget_encryption`: over theirs too."""
        self._asked = settings
        self._forget = forget_encryption
        self.record(owner)

    def read(self, table: str, catalog: bytes) -> None:
        """Notes what a table's catalog says. One that cannot be read says nothing here: its readers report that."""
        if (said := _said_in(catalog)) is None:
            return
        if said.bucket_owner is None or re.fullmatch("[0-9]{12}", said.bucket_owner):
            self.record(said.bucket_owner)
        known = said.requests or request_settings.USUAL
        self._known[table] = known.without_encryption() if self._forget else known

    def vault(self) -> str | None:
        """Returns the account of the vault's bucket. Raises UsageError if the environment names an invalid one."""
        return _named(VAULT) or self._recorded

    def failures(self, table_account: str | None) -> str | None:
        """Returns the account of a bucket for failed batches: the table's account, unless the environment names another."""
        return _named(FAILURES) or table_account or None

    def files(self, *, in_vault: bool) -> str | None:
        """Returns the account of a bucket of exports and snapshots, which may be the vault's own."""
        return self.vault() if in_vault else _named(FILES)

    # --- terms ---

    def of_vault(self, prefix: str) -> Terms:
        """Returns the terms of the vault's bucket. `prefix`: the vault's in it."""
        return Terms(self.vault, self._settings_below(f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""))

    def of_failures(self, table_account: str | None) -> Terms:
        """Returns the terms of a bucket for failed batches, which is only read, and emptied."""
        return Terms(partial(self.failures, table_account))

    def of_files(self, *, in_vault: bool) -> Terms:
        """Returns the terms of a bucket of exports and snapshots. In the vault's own they are encrypted like its objects."""
        owner = partial(self.files, in_vault=in_vault)
        return Terms(owner, (lambda _: _without_classes(self._of_table(""))) if in_vault else lambda _: self._of_files)

    def _settings_below(self, root: str) -> Callable[[str], RequestSettings]:
        return lambda key: self._of_table(_table_of(key.removeprefix(root)))

    def _of_table(self, table: str) -> RequestSettings:
        """Returns the settings for a table's objects; for any other object, what the last catalog says."""
        if not self._known:
            return self._first
        known = self._known.get(table) or next(reversed(self._known.values()))
        return known if self._first is request_settings.USUAL else self._first.over(known)

    @property
    def _first(self) -> RequestSettings:
        if self._asked is request_settings.USUAL:
            return self._environment
        return self._asked.over(self._environment)

    @cached_property
    def _environment(self) -> RequestSettings:
        return of_environment()

    @cached_property
    def _of_files(self) -> RequestSettings:
        return request_settings.of_words(sse=os.environ.get(FILES_ENCRYPTION), kms_key=os.environ.get(FILES_KEY))


def of_environment() -> RequestSettings:
    """Returns the settings that the environment names. Raises UsageError if they cannot be, or contradict the older names."""
    found = request_settings.of_words(
        sse=_either(ENCRYPTION),
        kms_key=_either(KEY),
        bucket_key=_flag(BUCKET_KEY),
        requester_pays=_pays(os.environ.get(PAYER, "")),
        log_class=os.environ.get(LOG_CLASS),
        rows_class=os.environ.get(ROWS_CLASS),
    )
    return request_settings.USUAL if found == request_settings.USUAL else found


def _table_of(name: str) -> str:
    """Returns the table of an object in the vault, as far as its name tells."""
    folder, _, rest = name.partition("/")
    return rest.partition("/")[0] if folder == SYSTEM_FOLDER else folder


def _without_classes(settings: RequestSettings) -> RequestSettings:
    return msgspec.structs.replace(settings, log_class=None, rows_class=None)


def _either(variable: str) -> str | None:
    """Returns a variable, or the one of the older tools with the same meaning."""
    ours, older = os.environ.get(variable, ""), os.environ.get(OLDER_VARIABLES[variable], "")
    if ours and older and ours != older:
        raise UsageError(f"{variable} is {ours}, and {OLDER_VARIABLES[variable]} says {older}", hint="Take one of them away.")
    return ours or older or None


def _flag(variable: str) -> bool | None:
    text = os.environ.get(variable, "").lower()
    if text not in ("", "true", "false"):
        raise UsageError(f"{variable} is {text!r}", hint="It is true or false.")
    return text == "true" if text else None


def _pays(text: str) -> bool | None:
    if text not in ("", request_settings.REQUESTER):
        raise UsageError(f"{PAYER} is {text!r}", hint=f"It is {request_settings.REQUESTER}, or not set.")
    return True if text else None


def account_of(text: str | None) -> str | None:
    """Returns the account that a caller expects. Raises UsageError if it is none."""
    if text is not None and not re.fullmatch("[0-9]{12}", text):
        raise UsageError(f"the expected bucket owner is {text!r}", hint="It is the number of an account: twelve digits.")
    return text


def _named(variable: str) -> str | None:
    account = os.environ.get(variable, "")
    if account and not re.fullmatch("[0-9]{12}", account):
        raise UsageError(f"{variable} is {account!r}", hint="It is the number of an account: twelve digits.")
    return account or None
