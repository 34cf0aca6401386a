"""The environment variables of the older tools' functions, for those who replace such a function and keep its settings.

`BackupBucket`, `BackupPrefix`, `BackupRegion`, `PlainTextKeyAsFilename` and `MultiTenancyColumn` state where and how to keep a
backup; `ReplicaTable`, `ReplicaRegion` and `ReplicaEndpoint` state the place of a replica. `TurnoverRole` and `TurnoverAt` share a
stream between two functions: one takes the changes before a moment, the other the later ones. See docs/older-tools.md.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.errors import UsageError
from backstream.model import moment
from backstream.model.tables.naming import Naming
from backstream.vault.catalog import Catalog
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault

VAULT = "BACKSTREAM_VAULT"
_NO = ("false", "0", "no", "off")
_BACKUP = ("BackupPrefix", "BackupRegion", "PlainTextKeyAsFilename", "MultiTenancyColumn")
VARIABLES = ("PlainTextKeyAsFilename", "MultiTenancyColumn", "TurnoverRole", "TurnoverAt")  # and those that begin with `Backup`
_REPLICA = ("ReplicaRegion", "ReplicaEndpoint", "ReplicaAccessKeyId", "ReplicaSecretAccessKey")
Record = Mapping[str, Any]


class Role(enum.StrEnum):
    """This function's share of the changes: those made before the turnover, or those since."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"


class Turnover(msgspec.Struct, frozen=True):
    """The turnover between two functions. `at`: epoch milliseconds, as in `TurnoverAt`."""

    role: Role
    at: int

    def takes(self, record: Record) -> bool:
        """True if a stream's record is this function's, by its second. A record without a time is this function's to refuse."""
        made = _made(record)
        return made is None or (int(made) * 1000 < self.at) is (self.role is Role.BEFORE)

    def __str__(self) -> str:
        return f"TurnoverRole {self.role}, TurnoverAt {moment.iso(self.at / 1000)}"


def _made(record: Record) -> float | None:
    body = record.get("dynamodb") if isinstance(record, Mapping) else None
    made = body.get("ApproximateCreationDateTime") if isinstance(body, Mapping) else None
    return made if isinstance(made, int | float) and not isinstance(made, bool) else None


class Backup(msgspec.Struct, frozen=True):
    """The options of a backup. `vault`: the URL, None if only `BACKSTREAM_VAULT` names it; the others are None if not set."""

    vault: str | None = None
    naming: Naming | None = None
    tenant_attribute: str | None = None
    turnover: Turnover | None = None

    def check(self, catalog: Catalog) -> None:
        """Raises UsageError if the vault keeps the table otherwise than the variables say: the catalog takes precedence."""
        kept = {"PlainTextKeyAsFilename": catalog.naming, "MultiTenancyColumn": catalog.tenant_attribute}
        said = {"PlainTextKeyAsFilename": self.naming, "MultiTenancyColumn": self.tenant_attribute}
        option = {"PlainTextKeyAsFilename": "--naming plain", "MultiTenancyColumn": f"--tenant-attribute {self.tenant_attribute}"}
        for name, wanted in said.items():
            if wanted is not None and wanted != kept[name]:
                raise UsageError(
                    f"{name} is set, and the vault keeps {catalog.table} otherwise ({kept[name] or 'no tenant attribute'})",
                    hint=f"Run `backstream init {catalog.table} {option[name]}`, or take the variable away.",
                )

    def takes(self, record: Record) -> bool:
        """True if a record is kept here, and not by another function."""
        return self.turnover is None or self.turnover.takes(record)

    def note(self, vault: TableVault, stream: str, others: Sequence[Record]) -> None:
        """Records a gap for the records left to another function, unless that one writes into the same vault."""
        times = [int(made) for record in others if (made := _made(record)) is not None]
        if times:
            reason = f"left to another function ({self.turnover})"
            vault.gaps.record(Gap(reason=reason, since=min(times), until=max(times), stream=stream))


class ReplicaPlace(msgspec.Struct, frozen=True):
    """The place of a replica. `region`, `endpoint`: None for the function's own."""

    table: str
    region: str | None = None
    endpoint: str | None = None
    turnover: Turnover | None = None


def of_backup(environment: Mapping[str, str]) -> Backup:
    """Returns the options in a backup function's variables.

    Raises UsageError if they contradict one another, or `BACKSTREAM_VAULT`.
    """
    bucket, prefix = _text(environment, "BackupBucket"), _text(environment, "BackupPrefix")
    named = [name for name in _BACKUP if _text(environment, name)]
    if bucket is None and prefix is not None:
        raise UsageError("BackupPrefix is set, and BackupBucket is not", hint=f"Set both, or {VAULT}=s3://bucket/prefix instead.")
    ours = _text(environment, VAULT)
    if bucket is None and ours is None and named:
        raise UsageError(f"{', '.join(named)}, but no bucket", hint=f"Set BackupBucket, or {VAULT}.")
    url = None if bucket is None else "/".join([f"s3://{bucket}", *filter(None, [(prefix or "").strip("/")])])
    if url is not None and ours is not None and ours.rstrip("/") != url:
        raise UsageError(f"{VAULT} is {ours}, and BackupBucket and BackupPrefix say {url}", hint="Take one of them away.")
    return Backup(
        vault=None if ours is not None else url,
        naming=Naming.PLAIN if _flag(environment, "PlainTextKeyAsFilename") else None,
        tenant_attribute=_text(environment, "MultiTenancyColumn"),
        turnover=turnover_of(environment),
    )


def of_replica(environment: Mapping[str, str]) -> ReplicaPlace | None:
    """Returns the place in a replicator function's variables; None if there are none. Raises UsageError if they are incomplete."""
    table = _text(environment, "ReplicaTable")
    named = [name for name in _REPLICA if _text(environment, name)]
    if table is None:
        if named:
            raise UsageError(f"{', '.join(named)}, but no ReplicaTable", hint="Set ReplicaTable to the replica's name.")
        return None
    if "ReplicaAccessKeyId" in named or "ReplicaSecretAccessKey" in named:
        raise UsageError(
            "ReplicaAccessKeyId and ReplicaSecretAccessKey are not taken: a key in a function's settings is easily read",
            hint="Give the function's role leave to write the replica; in another account, by a resource policy of that table.",
        )
    return ReplicaPlace(table, _text(environment, "ReplicaRegion"), _text(environment, "ReplicaEndpoint"), turnover_of(environment))


def turnover_of(environment: Mapping[str, str]) -> Turnover | None:
    """Returns the turnover; None if the stream is this function's alone.

    Raises UsageError for one variable without the other, or for impossible values.
    """
    role, at = _text(environment, "TurnoverRole"), _text(environment, "TurnoverAt")
    if role is None and at is None:
        return None
    if role is None or at is None:
        raise UsageError("TurnoverRole and TurnoverAt go together", hint="Set both, or take the one away.")
    if role not in list(Role):
        raise UsageError(f"TurnoverRole is {role!r}", hint="It is BEFORE or AFTER.")
    if not at.isascii() or not at.isdigit():
        raise UsageError(f"TurnoverAt is {at!r}", hint="It is a time in milliseconds since 1970, e.g. 1795406400000.")
    return Turnover(Role(role), int(at))


def _text(environment: Mapping[str, str], name: str) -> str | None:
    """Returns a variable as the older functions read it: an empty one is not set."""
    return environment.get(name) or None


def _flag(environment: Mapping[str, str], name: str) -> bool:
    """True if it is set. The older functions took `false` for yes too, which nobody can have meant: that raises UsageError."""
    value = _text(environment, name)
    if value is not None and value.strip().lower() in _NO:
        raise UsageError(f"{name} is {value!r}, which the older function takes for yes", hint="Set it to true, or take it away.")
    return value is not None
