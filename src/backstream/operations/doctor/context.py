"""The context of `doctor`, as the caller wires it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from backstream.ports import Account, BucketSettings, ChangeStream, Clock, LockTrial, ObjectStore, Table
from backstream.vault.table_vault import TableVault


class VaultPlace(msgspec.Struct, frozen=True):
    """The place of the vault. `bucket`, `lock`, `comparing`: None for a folder; `prefix`: of the vault in its bucket, empty or
    ending in `/`. `comparing`: tries whether the server compares checksums; `tells_case`: whether a folder's disk tells upper from
    lower case; `exposed`: returns paths in a folder that other users of the machine may look into.
    """

    url: str
    store: ObjectStore
    bucket: BucketSettings | None
    prefix: str = ""
    lock: LockTrial | None = None
    comparing: Callable[[], bool] | None = None
    tells_case: Callable[[], bool] | None = None
    exposed: Callable[[], Sequence[str]] | None = None


class DoctorContext(msgspec.Struct, frozen=True):
    """The services to check.

    `place`: None if no vault is named; `table_of`, `stream_of`, `vault_of`, `bucket_of`: made at the first call. `write`: True if
    an object may be put into the vault as a test.
    """

    place: VaultPlace | None
    account: Account
    clock: Clock
    region: Callable[[], str]
    endpoints: Callable[[], Mapping[str, str]]
    table_of: Callable[[str], Table]
    stream_of: Callable[[str], ChangeStream]
    vault_of: Callable[[str], TableVault]
    bucket_of: Callable[[str], BucketSettings]
    function: str | None = None
    write: bool = False

    @property
    def vault_option(self) -> str:
        """The option that names this vault on the command line."""
        return "" if self.place is None else f" --vault {self.place.url}"
