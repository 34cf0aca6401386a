"""Tries the vault's server, or the disk of its folder, before a table is set up there: once for each vault and process."""

from __future__ import annotations

from pathlib import Path

from backstream.apps.aws.locations import place_of
from backstream.apps.config import Config
from backstream.errors import Refused
from backstream.model.tables.naming import Naming
from backstream.operations.setup import server
from backstream.operations.setup.init import InitOptions
from backstream.operations.setup.letter_case import check_names
from backstream.stores.letter_case import tells_case
from backstream.vault import catalog as catalogs
from backstream.vault import vault_tables

# Endpoints that have passed in this process: a server does not change from one table to the next.
PASSED: set[str] = set()


def check(config: Config, table: str, words: InitOptions) -> list[str]:
    """Returns what is weaker than S3 without losing data. Raises Refused for a server or a disk that would lose some."""
    place = place_of(config.url)
    if isinstance(place, Path):
        if not tells_case(place):
            _check_names(config, table, words)
        return []
    endpoint = config.endpoints()["S3"]
    if endpoint in PASSED:
        return []
    proof = server.prove(config.store, endpoint, config.clock.now(), config.comparing)
    PASSED.add(endpoint)
    return server.warnings_of(proof)


def _check_names(config: Config, table: str, words: InitOptions) -> None:
    known = catalogs.known(config.store, table)
    naming = words.naming or (Naming.SHA256 if known is None else known.catalog.naming)
    tenant = words.tenant_attribute or (None if known is None else known.catalog.tenant_attribute)
    check_names(table, vault_tables.tables(config.store), naming, tenant)


def check_lock(config: Config) -> None:
    """Tries the Object Lock that the bucket was given. Raises Refused if a locked version can be removed all the same."""
    trial = config.lock_trial
    tried = None if trial is None else trial.attempt()
    if tried is not None and (tried.weak or tried.until is None):
        raise Refused(
            f"the server of {config.url} says that it locks versions, and does not: {'; '.join(tried.weak)}",
            hint="Use a server that knows S3's Object Lock: see docs/servers.md.",
        )
