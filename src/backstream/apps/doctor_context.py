"""Builds the context of `doctor` from one process's parts. It is separate from `config`, which a Lambda function loads too."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from backstream import private_files
from backstream.apps.aws.locations import place_of
from backstream.apps.config import Config
from backstream.operations.doctor import DoctorContext
from backstream.operations.doctor.context import VaultPlace
from backstream.stores.letter_case import tells_case


def patient_of(config: Config, *, function: str | None, write: bool) -> DoctorContext:
    """Returns the context. Raises UsageError for an invalid vault URL; `doctor` itself reports a missing one."""
    return DoctorContext(
        place=_place(config) if config.has_vault else None,
        account=config.account,
        clock=config.clock,
        region=lambda: config.region,
        endpoints=config.endpoints,
        table_of=config.table,
        stream_of=config.stream,
        vault_of=config.vault,
        bucket_of=config.settings_of,
        function=function,
        write=write,
    )


def _place(config: Config) -> VaultPlace:
    place = place_of(config.url)
    case = partial(tells_case, place) if isinstance(place, Path) else None
    exposed = partial(_exposed, place) if isinstance(place, Path) else None
    lock, comparing = config.lock_trial, config.comparing
    return VaultPlace(config.url, config.store, config.bucket_settings(), config.prefix, lock, comparing, case, exposed)


def _exposed(folder: Path) -> list[str]:
    return [str(each) for each in private_files.readable_by_others(folder)] if folder.is_dir() else []
