"""Settles the open requests of an interrupted migration: the items themselves show whether they were done."""

from __future__ import annotations

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError
from backstream.model import migration
from backstream.model.values import wire
from backstream.operations.migrate.applying import UNSURE
from backstream.operations.migrate.journal import Journal, MigrationJournal, Noted
from backstream.operations.migrate.report import MigrationCounts
from backstream.operations.migrate.request import MigrationContext

FETCHED = 100


def settle_open(standing: MigrationJournal, journal: Journal, account: MigrationCounts, around: MigrationContext) -> None:
    """Notes for each one whether it was done. An item that somebody may have changed since is named, and left."""
    schema = around.table.facts().schema
    for batch in batches(standing.open, FETCHED):
        live = {wire.key_of(schema, image): image for image in around.table.fetch([each.key for each in batch])}
        for each in batch:
            now = migration.digest(live.get(each.key))
            if now == each.after or (each.tried and now != each.before and _was_there(around, each)):
                journal.done(each.number)
                standing.settle(each.key)
                account.already += 1
            elif now == each.before or not each.tried:
                journal.withdraw(each.number)
            else:
                standing.settle(each.key)
                account.conflict(each.key, UNSURE)


def _was_there(around: MigrationContext, noted: Noted) -> bool:
    """True if the vault has seen the item in its new state."""
    if around.vault is None:
        return False
    try:
        return any(
            (None if entry.removed else migration.digest(around.vault.image(entry))) == noted.after
            for entry in around.vault.history(noted.key)
        )
    except BackstreamError:
        return False  # then nothing is claimed, and the item is named
