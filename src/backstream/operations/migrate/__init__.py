"""`migrate`: a user's function over every item of a table, of a snapshot or of the vault at a moment; and `filter`, over lines."""

from backstream.operations.migrate.filtering import FilterScript, filtered
from backstream.operations.migrate.function import Script
from backstream.operations.migrate.journal import MigrationJournal, path_for
from backstream.operations.migrate.request import SHOWN, Migrated, MigrationContext, MigrationRequest
from backstream.operations.migrate.run import MigrationRun, migrate, resume
from backstream.operations.migrate.sources import ItemSource, LiveTable, of_export, of_held, of_moment
from backstream.operations.migrate.undo import Undone, undo

__all__ = [
    "SHOWN",
    "FilterScript",
    "ItemSource",
    "LiveTable",
    "Migrated",
    "MigrationContext",
    "MigrationJournal",
    "MigrationRequest",
    "MigrationRun",
    "Script",
    "Undone",
    "filtered",
    "migrate",
    "of_export",
    "of_held",
    "of_moment",
    "path_for",
    "resume",
    "undo",
]
