"""What `doctor` is to look at, from one process's parts. Apart from `config`, which a Lambda function loads too."""

from __future__ import annotations

from backstream.apps.config import Config
from backstream.operations.doctor import DoctorContext
from backstream.operations.doctor.context import VaultPlace


def patient_of(config: Config, *, function: str | None, write: bool) -> DoctorContext:
    """UsageError for a vault's URL that is none; that no vault is named is for `doctor` to find."""
    return DoctorContext(
        place=VaultPlace(config.url, config.store, config.bucket_settings(), config.prefix) if config.has_vault else None,
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
