"""All that `doctor` looks at, as whoever wires it hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from backstream.ports import Account, BucketSettings, ChangeStream, Clock, ObjectStore, Table
from backstream.vault.table_vault import TableVault


class VaultPlace(msgspec.Struct, frozen=True):
    """Where the vault lies. `bucket`: None for a folder; `prefix`: of the vault in its bucket, empty or ending in `/`."""

    url: str
    store: ObjectStore
    bucket: BucketSettings | None
    prefix: str = ""


class DoctorContext(msgspec.Struct, frozen=True):
    """`place`: None where no vault is named; `table_of`, `stream_of`, `vault_of`, `bucket_of`: made when first asked for.

    `write`: whether an object may be put into the vault to see that it can be.
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
        """How a command is told of this vault."""
        return "" if self.place is None else f" --vault {self.place.url}"
