"""Readers of records that a vault holds beside its log: erasures, forgotten items, groups, columns, indexes of gaps, catalogs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec
import zstandard

from backstream.clock import SystemClock
from backstream.model.columns import schema as columns
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.inspect.status import status
from backstream.operations.setup import server
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault import groups
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.gaps.index import GapIndexes
from backstream.vault.log import erased_lines
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault

TABLE = "flights"
SYSTEM = f"_backstream/{TABLE}/"
SCHEMA = KeySchema(KeyAttribute("id", "S"), KeyAttribute("n", "N"))
KEY = b'{"id":{"S":"a"},"n":{"N":"1"}}'
ID = "20261130T085437Z-452049"
NOW = 1_796_000_000.0
Target = Callable[[bytes], object]
ARN = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}"
CATALOG = Catalog(
    1,
    TABLE,
    ARN,
    "an-id",
    SCHEMA,
    Layout.LOG,
    Naming.SHA256,
    None,
    Codec.ZSTD,
    "2026",
    f"{ARN}/stream/2026",
    "2026-01-01T00:00:00Z",
    None,
    msgspec.Raw(b"{}"),
)


def store_with(name: str, data: bytes) -> MemoryStore:
    """A store that holds one object."""
    store = MemoryStore(SystemClock())
    store.put(name, data)
    return store


def _erasure(data: bytes) -> object:
    erasures = Erasures(store_with(f"{SYSTEM}erasures/{ID}/begun.json", data), TABLE, [ID])
    found = erasures.of(KEY)
    return (
        str(found),
        [str(each) for each in erasures.all],
        erasures.until(KEY),
        erasures.lacks_at(int(NOW), [KEY]),
        erasures.open(),
    )


def _done(data: bytes) -> object:
    return Erasures(store_with(f"{SYSTEM}erasures/{ID}/done.json", data), TABLE, [ID]).finished(ID)


def _note(data: bytes) -> object:
    return Erasures(store_with(f"{SYSTEM}erasures/{ID}/pass-0.json", data), TABLE, [ID]).noted(ID)


def _erased_lines(data: bytes) -> object:
    return erased_lines.taken(store_with(f"{SYSTEM}compacted/x/erased.json", data), f"{SYSTEM}compacted/x/", [ID, ""])


def _forgotten(data: bytes) -> object:
    digest = hashlib.sha256(data).hexdigest()[: forgotten.DIGITS]
    store = store_with(f"{SYSTEM}erasures/forgotten-{digest}.json", data)
    found = forgotten.load(store, msgspec.structs.replace(CATALOG, forgotten=digest))
    return found.has(KEY), found.has_partition(b'{"id":{"S":"a"},'), found.salt


def _group(data: bytes) -> object:
    store = store_with(f"{groups.FOLDER}shop.json", data)
    return groups.load(store, "shop"), list(groups.versions(store, "shop")), groups.save(store, "shop", ["a"], {}, NOW)


def _columns(data: bytes) -> object:
    known = columns.from_json(data)
    return known.with_kinds([("a", "S"), ("b.c", "N")]).with_scales({"a": 2}).including(known).by_kind


def _gap_index(data: bytes) -> object:
    indexes = GapIndexes(store_with(f"{SYSTEM}compacted/gaps/00000001.json.zst", zstandard.compress(data)), TABLE)
    return indexes.newest(), list(indexes.every())


def _vault(data: bytes) -> object:
    """What a whole catalog makes of a vault: its window, its way, its streams."""
    store = store_with(catalogs.name_of(TABLE), data)
    vault = TableVault.open(store, TABLE)
    return (
        vault.window(NOW),
        status(vault, now=NOW),
        catalogs.ways_of(store, vault.catalog),
        catalogs.former_of(store, vault.catalog),
    )


def _altered(data: bytes) -> object:
    """A catalog that is sound but for some fields: most bytes are no catalog at all."""
    good = msgspec.json.decode(catalogs.encode(CATALOG), type=dict[str, msgspec.Raw])
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return _vault(msgspec.json.encode({**good, **fields}))


def _proof(data: bytes) -> object:
    return server.proof_of(store_with(server.RECORD, data), "https://s3")


TARGETS: Mapping[str, Target] = {
    "erasure": _erasure,
    "erasure-done": _done,
    "erasure-note": _note,
    "erased-lines": _erased_lines,
    "forgotten": _forgotten,
    "group": _group,
    "columns": _columns,
    "gap-index": _gap_index,
    "whole-catalog": _vault,
    "altered-catalog": _altered,
    "server-proof": _proof,
}
