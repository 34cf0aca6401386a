"""`init --adopt`: turns a bucket that an older tool has written into a vault without changing it: it only adds a log and a catalog.

A second run takes in later objects, and otherwise changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.errors import ConditionNotMet, MissingTable, UsageError
from backstream.model import moment
from backstream.model.changes.change import VIEW, stream_label
from backstream.model.tables import naming
from backstream.model.tables.naming import Naming
from backstream.model.tables.settings import TableSettings
from backstream.model.values.schema import KeySchema
from backstream.operations.legacy.import_legacy import folder_of, take_in
from backstream.operations.setup import kept_history, settings
from backstream.operations.setup.init import (
    InitOptions,
    InitReport,
    actor_attribute,
    changes_of,
    check_actor_attribute,
    with_stream,
)
from backstream.operations.setup.legacy_contents import LegacyContents
from backstream.ports import Clock, ObjectStore, Table, TableFacts
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Adopted, Catalog, Layout
from backstream.vault.log.segments import Codec


class Adopting(msgspec.Struct, frozen=True):
    """The options of an adoption.

    `folder`: the objects' folder below the vault's root, None: the table's name; `schema`: the keys, for a deleted table.
    """

    folder: str | None = None
    schema: KeySchema | None = None
    enable_stream: bool = False


def adopt(store: ObjectStore, table: Table, words: InitOptions, asked: Adopting, clock: Clock, *, writer: str) -> InitReport:
    """Takes in an older tool's objects, and writes the catalog. The table may be deleted, and need not have a stream.

    Raises Refused if there is nothing of an older tool's; MissingTable if neither the table nor `asked` gives the keys.
    """
    naming.check_table_name(table.name)
    check_actor_attribute(words)
    store.check()
    facts = _facts(table, asked)
    saved = catalogs.known(store, table.name)
    known = None if saved is None else saved.catalog
    schema = _schema(table.name, facts, known, asked)
    folder = folder_of(table.name, asked.folder) if asked.folder is not None or known is None else _folder_again(known, table.name)
    tenant = words.tenant_attribute or (None if known is None else known.tenant_attribute)
    found, until = take_in(store, table.name, schema, clock, folder=folder, tenant=tenant, writer=writer)
    seen = TableSettings({}) if facts is None else table.settings()
    known, catalog = _saved(
        store,
        table.name,
        lambda known: _in_words(
            _with_adopted(known or _new(table, facts, schema, seen, clock), found, until, folder), words, found, new=known is None
        ),
    )
    changes = [] if known is None or catalog == known else [*changes_of(known, catalog), *_arrived(known, catalog)]
    return InitReport(
        catalog,
        created=known is None,
        changes=changes,
        unseen=settings.unseen(seen),
        adopted=found,
        needs_backfill=catalog.complete_from is None and catalog.base_backup is None,
    )


def _saved(store: ObjectStore, table: str, wanted: Callable[[Catalog | None], Catalog]) -> tuple[Catalog | None, Catalog]:
    """Saves the wanted catalog in place of the existing one, if any. Returns both."""
    for _ in range(catalogs.ATTEMPTS):
        upon = catalogs.known(store, table)
        before = None if upon is None else upon.catalog
        catalog = wanted(before)
        try:
            if catalog != before:
                catalogs.save(store, catalog, upon)
        except ConditionNotMet:
            continue
        return before, catalog
    raise catalogs.contended(store, table)


def _facts(table: Table, asked: Adopting) -> TableFacts | None:
    """Returns the table's description; None if the table is deleted."""
    try:
        return with_stream(table, enable_stream=True) if asked.enable_stream else table.facts()
    except MissingTable:
        if asked.enable_stream:
            raise
        return None


def _schema(table: str, facts: TableFacts | None, known: Catalog | None, asked: Adopting) -> KeySchema:
    of_table, of_catalog = None if facts is None else facts.schema, None if known is None else known.key_schema
    told = [each for each in (of_catalog, of_table, asked.schema) if each is not None]
    if not told:
        raise MissingTable(
            f"the table {table} does not exist, so nothing tells its keys",
            hint="Say them, with their types: --key-schema id:S, or --key-schema id:S,number:N (hash key first).",
        )
    if any(each != told[0] for each in told):
        raise UsageError(f"{table} has another key schema", hint="Leave --key-schema out: the table, or its catalog, tells it.")
    return told[0]


def _folder_again(known: Catalog, table: str) -> str:
    return folder_of(table, None) if known.adopted is None else known.adopted.folder


def _new(table: Table, facts: TableFacts | None, schema: KeySchema, seen: TableSettings, clock: Clock) -> Catalog:
    followed = facts is not None and facts.stream_enabled and facts.stream_view == VIEW and facts.stream_arn
    arn = (facts.stream_arn or "") if facts is not None and followed else ""
    return Catalog(
        format=catalogs.FIRST_FORMAT,
        table=table.name,
        table_arn="" if facts is None else facts.arn,
        table_id="" if facts is None else facts.table_id,
        key_schema=schema,
        layout=Layout.ROWS,
        naming=Naming.SHA256,
        tenant_attribute=None,
        compress=Codec.ZSTD,
        stream=stream_label(arn) if arn else "",
        stream_arn=arn,
        initialised=moment.iso(clock.now() if facts is None else table.server_time()),
        complete_from=None,  # what an older tool has kept does not say that it is all
        settings=catalogs.encode_settings(seen),
    )


def _with_adopted(catalog: Catalog, found: LegacyContents, until: int, folder: str) -> Catalog:
    """Returns the catalog with the adopted objects; the same as before if nothing has arrived since."""
    now = Adopted(moment.iso(found.since), moment.iso(until), found.versions, folder)
    before = catalog.adopted
    if before is not None and msgspec.structs.replace(now, until=before.until) == before:
        return catalog
    return msgspec.structs.replace(catalog, adopted=now)


def _in_words(catalog: Catalog, words: InitOptions, found: LegacyContents, *, new: bool) -> Catalog:
    """Returns the catalog with the requested options; for a new table the other options are as found."""
    as_found = words.naming in (None, found.style.naming)
    wanted = msgspec.structs.replace(
        catalog,
        layout=words.layout or catalog.layout,
        naming=words.naming or (found.style.naming if new else catalog.naming),
        key_order=words.key_order or (found.style.order if new and as_found else catalog.key_order),
        tenant_attribute=words.tenant_attribute or (found.tenant if new else catalog.tenant_attribute),
        compress=words.compress or catalog.compress,
        actor_attribute=actor_attribute(words, catalog.actor_attribute),
    )
    return kept_history.with_rule(wanted, words.keep)


def _arrived(known: Catalog, now: Catalog) -> list[str]:
    before = 0 if known.adopted is None else known.adopted.versions
    more = 0 if now.adopted is None else now.adopted.versions - before
    return [f"{more:,} more versions of the older tool's are in the log"] if more else []
