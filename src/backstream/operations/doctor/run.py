"""Runs all checks, in the order in which they build on each other."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.errors import BackstreamError
from backstream.operations.doctor import bucket, capture, deployment, identity
from backstream.operations.doctor import table as tables
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, Doctor, about, report
from backstream.vault import table_folders


def doctor(patient: DoctorContext, table: str | None, several: Sequence[str] | None = None) -> Doctor:
    """Checks everything that the backup of a table depends on; without one, for `several`, or for every table in the vault.

    It writes nothing, except one object if `patient.write` allows it. A failed check is `unknown`, and stops nothing.
    """
    names = [table] if table is not None else _known(patient) if several is None else several
    place = patient.place
    checks = [
        *identity.identity(patient),
        *identity.clocks(patient),
        *about("" if place is None else place.url, bucket.vault_place(patient, table)),
    ]
    for name in names:
        checks += about(name, _of_table(patient, name))
    return report(table, None if place is None else place.url, checks)


def _known(patient: DoctorContext) -> list[str]:
    if patient.place is None:
        return []
    try:
        return table_folders.folders(patient.place.store)
    except BackstreamError:
        return []  # the checks of the vault say what stands in the way


def _of_table(patient: DoctorContext, name: str) -> list[Check]:
    facts, vault, checks = tables.of(patient, name)
    if vault is not None:
        checks += capture.of(patient, vault)
    return [*checks, *deployment.of(patient, name, facts, vault)]
