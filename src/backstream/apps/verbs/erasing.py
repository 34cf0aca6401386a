"""`erase` in the library: `TableBackup.erase`, `verify_erasure`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from backstream.apps.config import Config
from backstream.apps.operator import operator
from backstream.apps.verbs.arguments import Key, key_of
from backstream.model.tables.owner import account_of
from backstream.operations import erase as erasing
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import keys_in
from backstream.operations.erase import EraseContext, Erased, EraseRequest, ErasureVerified
from backstream.operations.erase.discarded import DiscardedBatches
from backstream.vault.catalog import Catalog
from backstream.vault.erasure.erasures import Erasure


class Erasing:
    """The part of a table's backup that removes a subject from all of its history."""

    _config: Config
    _name: str

    def erase(
        self,
        *,
        keys: Iterable[Key] = (),
        keys_file: str | Path | None = None,
        partition: str | None = None,
        tenant: str | None = None,
        reason: str = "",
        dry_run: bool = False,
        forget_future: bool = False,
        files: Iterable[str | Path] = (),
        progress: Progress | None = None,
    ) -> Erased:
        """Removes items from all history: row versions, log, base backups, records. It needs the right to remove versions.

        `keys` and those in `keys_file`, one a line, or `partition` (a value of the hash key), or `tenant` select them. `reason`:
        kept in the record. `forget_future`: changes that arrive later are discarded; otherwise they are new. `files`: resume and
        undo files of this table, from which they are taken out too. Versions that locks keep, and objects that could not be
        searched, are named. The same call resumes there, and finishes any erasure that was interrupted. Raises NotFound if
        nothing is selected.
        """
        config = self._config
        vault = config.verified(self._name)
        named = [key_of(vault, each) for each in keys]
        named += [] if keys_file is None else keys_in(Path(keys_file), vault.catalog.key_schema, vault.catalog.table)
        wanted = tuple(dict.fromkeys(named))
        by = "" if dry_run else operator(config)
        request = EraseRequest(
            reason=reason,
            by=by,
            keys=wanted,
            partition=partition,
            tenant=tenant,
            dry_run=dry_run,
            files=tuple(map(Path, files)),
            forget_future=forget_future,
        )
        return erasing.erase(partial(config.verified, self._name), request, self._context(progress))

    def verify_erasure(self, erasure: str, *, progress: Progress | None = None) -> ErasureVerified:
        """Reads every object and version of the table in the vault, and returns what is left of an erasure's subject.

        `erasure`: its id. Raises NotFound if the table has none of that id.
        """
        return erasing.verify_erasure(self._config.vault(self._name), erasure, self._context(progress))

    def erasures(self) -> list[str]:
        """Returns the ids of the table's erasures, oldest first."""
        return list(self._config.vault(self._name).catalog.erasures)

    def unfinished_erasures(self) -> list[Erasure]:
        """Returns the erasures that were interrupted, by their own records. The next one finishes them too."""
        return self._config.verified(self._name).erasures.open()

    def _context(self, progress: Progress | None) -> EraseContext:
        config, catalog = self._config, self._config.vault(self._name).catalog
        batches = _batches(config, catalog)
        return EraseContext(config.clock, config.remover, config.memory, progress or Silent(), batches)


def _batches(config: Config, catalog: Catalog) -> DiscardedBatches | None:
    """Returns the bucket of discarded batches; None if there is none."""
    if catalog.failures is None:
        return None
    store = config.destination(catalog.failures, account_of(catalog.table_arn))
    return DiscardedBatches(store, config.remover_of(catalog.failures, account_of(catalog.table_arn)))
