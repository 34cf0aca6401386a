"""Opens a vault in a Spark executor: the driver's settings, and the executor's own credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from backstream.apps.config import Config
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.engine import SparkEngine
from backstream.ports import Clock, Engine, Files, Table
from backstream.vault.table_vault import TableVault

# The parts of its environment that a driver tells its executors: where things are, and how to speak to them. No key or profile.
SETTINGS = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "BACKSTREAM_BUCKET_KEY",
    "BACKSTREAM_BUCKET_OWNER",
    "BACKSTREAM_FAILURES_OWNER",
    "BACKSTREAM_FILES_KMS_KEY",
    "BACKSTREAM_FILES_OWNER",
    "BACKSTREAM_FILES_SSE",
    "BACKSTREAM_KMS_KEY",
    "BACKSTREAM_LOG_CLASS",
    "BACKSTREAM_OBJECT_MB",
    "BACKSTREAM_REQUEST_PAYER",
    "BACKSTREAM_ROWS_CLASS",
    "BACKSTREAM_SSE",
    "BACKSTREAM_TRANSPORT",
    "BACKSTREAM_VERIFY_KEY",
)
ENDPOINTS = "AWS_ENDPOINT_URL"


class VaultOpener(msgspec.Struct, frozen=True):
    """Opens one table's vault. `settings`: of the driver's environment; `verified`: trust only what is signed, see `Config`."""

    url: str
    table: str
    patience: float
    verify_key: str | None
    verified: bool
    settings: tuple[tuple[str, str], ...]

    def __call__(self) -> TableVault:
        """Opens it with the credentials that botocore finds here."""
        os.environ.update(self.settings)
        config = Config(self.url, patience=self.patience, verify_key=self.verify_key)
        return config.verified(self.table) if self.verified else config.vault(self.table)


class FilesOpener(msgspec.Struct, frozen=True):
    """Opens the place of an export in an executor. `vault`: the vault's URL, which may be in the same bucket."""

    url: str
    vault: str | None
    patience: float
    settings: tuple[tuple[str, str], ...]

    def __call__(self) -> Files:
        """Opens it with the credentials that botocore finds here."""
        os.environ.update(self.settings)
        return Config(self.vault, patience=self.patience).files(self.url)


class TableOpener(msgspec.Struct, frozen=True):
    """Opens a live table in an executor."""

    name: str
    settings: tuple[tuple[str, str], ...]

    def __call__(self) -> tuple[Table, Clock]:
        """Opens it with the credentials that botocore finds here."""
        os.environ.update(self.settings)
        config = Config()
        return config.table(self.name), config.clock


def table_opener(name: str) -> TableOpener:
    """Returns what opens a table in executors."""
    return TableOpener(name, settings_of(os.environ))


def files_opener(url: str, vault: str | None, patience: float) -> FilesOpener:
    """Returns what opens the place of an export in executors."""
    return FilesOpener(url, vault, patience, settings_of(os.environ))


def settings_of(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Returns the settings that go to executors. None of them is a secret."""
    return tuple(sorted((name, value) for name, value in environment.items() if name in SETTINGS or name.startswith(ENDPOINTS)))


_clusters: dict[str | None, Cluster] = {}


def engine(
    master: str | None, clock: Clock, url: str, patience: float, verify_key: str | None, *, verified: bool
) -> Engine[TableVault]:
    """Returns an engine on Spark. A process has one application, which all its engines share."""

    def opener_of(vault: TableVault) -> VaultOpener:
        return VaultOpener(url, vault.catalog.table, patience, verify_key, verified, settings_of(os.environ))

    if master not in _clusters:
        _clusters[master] = Cluster(master, clock)
    return SparkEngine(_clusters[master], opener_of)
