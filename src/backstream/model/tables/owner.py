"""The owner of a table: account, region and name, from its ARN."""

from __future__ import annotations

import msgspec

from backstream.errors import MalformedRecord
from backstream.model.changes.change import table_name


class Owner(msgspec.Struct, frozen=True):
    """Account, region and name of a table. Two tables may share a name in two of them."""

    account: str
    region: str
    table: str

    def __str__(self) -> str:
        return f"the table {self.table} of account {self.account or 'unknown'} in {self.region or 'an unknown region'}"


def owner_of(arn: str) -> Owner:
    """Returns the owner in the ARN of a table, or of one of its streams. Raises MalformedRecord if it is neither."""
    parts = arn.split(":")
    if len(parts) < 6 or parts[2] != "dynamodb":
        raise MalformedRecord(f"not the ARN of a table: {arn!r:.200}")
    return Owner(parts[4], parts[3], table_name(arn))


def account_of(arn: str) -> str | None:
    """Returns the account in an ARN; None if it names none."""
    return next(iter(arn.split(":")[4:5]), None) or None
