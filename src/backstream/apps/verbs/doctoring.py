"""`doctor` in the library: `Vault.doctor`."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.apps.config import Config
from backstream.apps.doctor_context import patient_of
from backstream.operations.doctor import Doctor, doctor

__all__ = ["Doctor", "look"]


def look(config: Config, table: str | None, *, function: str | None, write: bool, tables: Sequence[str] | None = None) -> Doctor:
    """Checks everything that a backup depends on: see `Vault.doctor`."""
    return doctor(patient_of(config, function=function, write=write), table, tables)
