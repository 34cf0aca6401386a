"""The expected owners of buckets: S3 refuses a request to a bucket of another account, also of one that took its name.

The environment or the vault's catalog names the owner. Requests to a bucket with an unknown owner state none.
"""

from __future__ import annotations

import os
import re

from backstream.errors import UsageError

VAULT, FAILURES, FILES = "BACKSTREAM_BUCKET_OWNER", "BACKSTREAM_FAILURES_OWNER", "BACKSTREAM_FILES_OWNER"


class BucketOwners:
    """The accounts that one process expects as owners of buckets. The environment takes precedence over the catalog."""

    def __init__(self) -> None:
        self._recorded: str | None = None

    def record(self, account: str | None) -> None:
        """Notes the owner of the vault's bucket from the catalog."""
        self._recorded = account or self._recorded

    def vault(self) -> str | None:
        """Returns the account of the vault's bucket. Raises UsageError if the environment names an invalid one."""
        return _named(VAULT) or self._recorded

    def failures(self, table_account: str | None) -> str | None:
        """Returns the account of a bucket for failed batches: the table's account, unless the environment names another."""
        return _named(FAILURES) or table_account or None

    def files(self, *, in_vault: bool) -> str | None:
        """Returns the account of a bucket of exports and snapshots, which may be the vault's own."""
        return self.vault() if in_vault else _named(FILES)


def _named(variable: str) -> str | None:
    account = os.environ.get(variable, "")
    if account and not re.fullmatch("[0-9]{12}", account):
        raise UsageError(f"{variable} is {account!r}", hint="It is the number of an account: twelve digits.")
    return account or None
