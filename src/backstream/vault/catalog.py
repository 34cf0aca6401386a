"""The catalog: everything a vault must know to restore a table without the table. Every change of it is kept as a version."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from backstream.errors import AlreadyExists, CatalogLost, ConditionNotMet, Damaged, MissingObject, NotFound, Unavailable
from backstream.model import moment
from backstream.model.changes import kinesis
from backstream.model.changes.change import MICROS
from backstream.model.request_settings import RequestSettings
from backstream.model.sealing import Signing
from backstream.model.tables.naming import SYSTEM_FOLDER, KeyOrder, Naming
from backstream.model.tables.settings import TableSettings, check_shape, from_description
from backstream.model.values.decoding import MISSHAPEN, UNDECODABLE, reason
from backstream.model.values.schema import KeySchema
from backstream.ports import ObjectStore, StoredObject
from backstream.vault import below_markers, catalog_checks, horizon, table_folders
from backstream.vault.horizon import KeptState
from backstream.vault.log.segments import Codec

FORMAT = 5  # of a table of whose older history single states are kept, or are to be kept
FORGETTING_FORMAT = 4  # of a table with items whose changes are discarded
HORIZON_FORMAT = 3  # of a table whose history was shortened, or from whose history items were erased
LIVES_FORMAT = 2  # of a table that was made again
FIRST_FORMAT = 1  # of a table that was never made again, with its whole history: every version of this tool reads it
FIRST_SAVED = 600  # seconds after `initialised` in which the first catalog counts as saved, whatever the clocks say
ATTEMPTS = 20  # to change a catalog that others change at the same time
_EARLIER = "Its earlier versions are in the bucket."
_LOST = "Bring it back from the bucket's versions or from a replica. `backstream init` would begin a new one."


class Layout(enum.StrEnum):
    """The place of images: versions of the item's own object (rows), or inline in the log's segments (log)."""

    ROWS = "rows"
    LOG = "log"


class BaseBackup(msgspec.Struct, frozen=True):
    """A base backup, for people who read the catalog. The vault knows every item from `ended` on, once the log reaches there."""

    id: str
    kind: str
    began: str
    ended: str


class Adopted(msgspec.Struct, frozen=True):
    """The objects that an older tool had written: their first and last arrival (ISO 8601), and the number of versions taken in.

    Objects that arrived after `until` are not in the log. `folder` is where its objects lie, below the vault's root.
    """

    since: str
    until: str
    versions: int
    folder: str


class Former(msgspec.Struct, frozen=True):
    """A stream that the table had before, and the id that the table had at that time."""

    stream_arn: str
    table_id: str


class Life(msgspec.Struct, frozen=True):
    """A deleted table that was created again at `created` (second), with this id. No earlier item is a row of it.

    `stream`: the label of its first stream; empty if its changes come from a Kinesis stream, or if it had no stream when this was
    seen; `complete`: True if that stream was on from the table's creation, so that the vault knows every item from then on.
    """

    created: int
    table_id: str
    stream: str
    complete: bool


class Way(msgspec.Struct, frozen=True):
    """The way in which changes were kept, from some time after `since` (ISO 8601) until the next way, or now.

    A reader of old changes needs all ways. Old versions of the catalog have them too, but a lifecycle rule may have removed those.
    """

    since: str
    layout: Layout
    naming: Naming
    tenant_attribute: str | None
    key_order: KeyOrder = KeyOrder.SCHEMA


class Catalog(msgspec.Struct, frozen=True):
    """The vault's knowledge of one table.

    `complete_from`: the second from which the vault knows every item (the table was empty then), None while it does not;
    `compress`: the compression of new segments; `settings`: the table's settings, read by `settings_of`. They stay bytes here, so
    that a capture function, which loads the catalog for each batch, neither pays for them nor fails on them. `base_backup`: the
    newest complete one, for people; the list below `base/complete/` is what counts. `failures`: the bucket that receives the
    batches which Lambda discards, None if there is none. `kinesis`: set if changes come from Kinesis, not from the table's own
    stream. Then `stream` is the label that these changes get, the time from which they come, and `stream_arn` is the Kinesis
    stream's.
    `adopted`: set if an older tool wrote here first; `key_order`: the order of the attributes in row objects' names. `former`: the
    streams that the table had before `stream_arn`; `lives`: each time that the table was deleted and created again, oldest first.
    `ways`: every way in which changes were ever kept, oldest first; the last is this catalog's own. It is None in an older catalog.
    `actor_attribute`: the path of the attribute in which an item names its last writer, None if there is none. `bucket_owner`: the
    account that the vault's bucket belongs to, None if nobody knew. `signing`: the key that signs the vault's own objects, None for
    none. `horizon`: the second from which history is kept, None if all is. `erasures`: their ids, oldest first. `forgotten`: the
    digest of the record of items whose changes are discarded, None if there are none. `requests`: settings of requests, or None.
    `keep`, `keep_daily`, `keep_monthly`: the periods (seconds) in which `retain` keeps all history, the ends of days, and the ends
    of months, or None. `kept_states`: the states from before the horizon that can be restored, oldest first.
    """

    format: int
    table: str
    table_arn: str
    table_id: str
    key_schema: KeySchema
    layout: Layout
    naming: Naming
    tenant_attribute: str | None
    compress: Codec
    stream: str
    stream_arn: str
    initialised: str
    complete_from: int | None
    settings: msgspec.Raw
    base_backup: BaseBackup | None = None
    failures: str | None = None
    kinesis: kinesis.KinesisSource | None = None
    adopted: Adopted | None = None
    key_order: KeyOrder = KeyOrder.SCHEMA
    former: tuple[Former, ...] = ()
    lives: tuple[Life, ...] = ()
    ways: tuple[Way, ...] | None = None
    actor_attribute: str | None = None
    bucket_owner: str | None = None
    signing: Signing | None = None
    horizon: horizon.Horizon | None = None
    erasures: tuple[str, ...] = ()
    forgotten: str | None = None
    requests: RequestSettings | None = None
    keep: int | None = None
    keep_daily: int | None = None
    keep_monthly: int | None = None
    kept_states: tuple[KeptState, ...] = ()

    def life_at(self, second: int) -> Life | None:
        """Returns the life of the table at a second; None if it is the first one that the vault knows."""
        return next((life for life in reversed(self.lives) if life.created <= second), None)


def folder(table: str) -> str:
    """Returns the vault's own folder for a table, below the vault's root."""
    return f"{SYSTEM_FOLDER}/{table}/"


def name_of(table: str) -> str:
    """Returns the name of the object that holds a table's catalog."""
    return folder(table) + "catalog.json"


def encode(catalog: Catalog) -> bytes:
    """Returns the catalog as JSON for people: indented, fields in the order above. Rare fields are left out if they are unset."""
    fields = msgspec.structs.asdict(catalog)
    fields["format"] = format_of(catalog)
    for name, usual in _USUAL.items():
        if fields[name] == usual:
            del fields[name]
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"


_ALWAYS = ("base_backup", "failures")  # written even if they are unset
_USUAL = {each.name: each.default for each in msgspec.structs.fields(Catalog) if not each.required and each.name not in _ALWAYS}


def format_of(catalog: Catalog) -> int:
    """Returns its format. Older tools would give back rows of earlier lives, miss what was removed, or remove kept states."""
    if catalog.kept_states or catalog.keep_daily is not None or catalog.keep_monthly is not None:
        return FORMAT
    if catalog.forgotten is not None:
        return FORGETTING_FORMAT
    return HORIZON_FORMAT if catalog.erasures or catalog.horizon is not None else LIVES_FORMAT if catalog.lives else FIRST_FORMAT


@lru_cache(maxsize=16)  # a function reads it for each batch, and it is nearly always the same
def decode(body: bytes, name: str) -> Catalog:
    """The inverse of `encode`. Raises Damaged if the body is not a catalog, or if its format is newer than this tool."""
    try:
        catalog = msgspec.json.decode(body, type=Catalog)
    except UNDECODABLE as error:
        raise Damaged(f"the catalog {name} cannot be read: {reason(error)}", hint=_EARLIER) from error
    if not catalog_checks.is_sound(catalog):
        raise Damaged(f"the catalog {name} says what none does", hint=_EARLIER)
    if catalog.format > FORMAT:
        raise Damaged(f"the catalog {name} is of format {catalog.format}", hint="Use a newer Backstream.")
    return catalog


def settings_of(catalog: Catalog) -> TableSettings:
    """Returns the table's settings. Catalogs of the first version hold only DescribeTable's answer; the rest is unknown there.

    Raises Damaged if they are neither.
    """
    try:
        if "table" in msgspec.json.decode(catalog.settings, type=dict[str, msgspec.Raw]):
            found = msgspec.json.decode(catalog.settings, type=TableSettings)
        else:
            found = from_description(msgspec.json.decode(catalog.settings, type=dict[str, Any]))
        check_shape(found)
    except MISSHAPEN as error:
        raise Damaged(
            f"the settings in the catalog of {catalog.table} cannot be read: {reason(error)}",
            hint=f"Earlier versions of {name_of(catalog.table)} are in the bucket.",
        ) from error
    return found


def with_settings(catalog: Catalog, settings: TableSettings) -> Catalog:
    """Returns the same catalog with these settings."""
    return msgspec.structs.replace(catalog, settings=encode_settings(settings))


def encode_settings(settings: TableSettings) -> msgspec.Raw:
    """Returns settings as a catalog holds them."""
    return msgspec.Raw(msgspec.json.encode(settings))


class Current(msgspec.Struct, frozen=True):
    """A table's current catalog, the tag of its object, and when the store received it. Every change starts from one.

    `tag` is None if a delete marker hides the catalog: a change is then written on top of the marker.
    """

    catalog: Catalog
    tag: str | None
    modified: float = 0.0


def load(store: ObjectStore, table: str) -> Catalog:
    """Returns the table's current catalog. Raises NotFound if `init` has not been run."""
    return current(store, table).catalog


def known(store: ObjectStore, table: str) -> Current | None:
    """Returns the table's current catalog, to be changed; None if there is none."""
    try:
        return current(store, table)
    except NotFound:
        return None


def current(store: ObjectStore, table: str) -> Current:
    """Returns the table's current catalog, to be changed. Raises NotFound if `init` has not been run."""
    try:
        found, tag = _found(store, name_of(table))
    except MissingObject as error:
        raise _unknown(store, table) from error
    catalog = decode(found.body, name_of(table))
    if catalog.table != table:
        raise Damaged(f"the catalog {name_of(table)} is of the table {catalog.table!r:.300}", hint=_EARLIER)
    return Current(catalog, tag, found.info.modified)


def is_lost(store: ObjectStore, table: str) -> bool:
    """Returns True if the vault holds objects of a table that has no catalog."""
    return any(not each.marker for each in store.versions(folder(table)))


def _unknown(store: ObjectStore, table: str) -> NotFound:
    """Returns the error for a missing catalog: there never was one, or it is lost."""
    if is_lost(store, table):
        return CatalogLost(
            f"the catalog of {table!r} is lost: {name_of(table)} is gone from {store.url}, other objects are there", hint=_LOST
        )
    return NotFound(
        f"the vault {store.url} does not know the table {table!r}",
        hint=f"{table_folders.others(store, table)} Run `backstream init {table} --vault {store.url}` first.".strip(),
    )


def _found(store: ObjectStore, name: str) -> tuple[StoredObject, str | None]:
    try:
        found = store.get(name)
    except MissingObject:
        return below_markers.get(store, name, sure=True), None
    return found, found.info.tag


def save(store: ObjectStore, catalog: Catalog, upon: Current | None) -> None:
    """Replaces the catalog that this one was made from (None if it is the first). Earlier ones stay as versions.

    Raises ConditionNotMet, and writes nothing, if somebody has changed it meanwhile. The caller then makes the change again.
    """
    catalog = msgspec.structs.replace(catalog, ways=_ways_with(store, catalog, upon), former=_former_with(store, catalog, upon))
    name, body = name_of(catalog.table), encode(catalog)
    metadata = {"format": str(format_of(catalog))}
    try:
        if upon is None or upon.tag is None:
            store.put(name, body, metadata, if_absent=True)
        else:
            store.put(name, body, metadata, if_match=upon.tag)
    except (AlreadyExists, MissingObject) as error:
        raise ConditionNotMet(error.message) from error


def change(store: ObjectStore, table: str, changed: Callable[[Catalog], Catalog]) -> Catalog:
    """Changes the table's catalog and returns it. No change of others is lost: `changed` is called again after each conflict.

    Writes nothing if nothing differs. Raises NotFound before `init`, and Unavailable if others change it all the time.
    """
    for _ in range(ATTEMPTS):
        upon = current(store, table)
        wanted = changed(upon.catalog)
        if encode(wanted) == encode(upon.catalog):
            return upon.catalog
        try:
            save(store, wanted, upon)
        except ConditionNotMet:
            continue
        return wanted
    raise contended(store, table)


def contended(store: ObjectStore, table: str) -> Unavailable:
    """Returns the error for a catalog that others change again and again."""
    return Unavailable(
        f"the catalog of {table} in {store.url} is changed by others all the time: this change was not made", hint="Try again."
    )


def every_version(store: ObjectStore, table: str) -> Sequence[Catalog]:
    """Returns all catalogs that the table ever had, newest first. An item's objects may have the names that any of them gives."""
    name = name_of(table)
    return [decode(store.get(name, each.version).body, name) for each in store.versions_of(name) if not each.marker]


def ways_of(store: ObjectStore, catalog: Catalog) -> Sequence[Way] | None:
    """Returns all ways in which the table's changes were ever kept, oldest first; None if they are no longer known.

    A catalog saved by an older version of this tool does not hold them. Then they are read from its old versions, if none was
    removed.
    """
    if catalog.ways is not None:
        return catalog.ways
    name = name_of(catalog.table)
    there = [each for each in store.versions_of(name) if not each.marker]
    first = moment.parse_iso_micros(catalog.initialised) / MICROS
    if not there or there[-1].modified > first + FIRST_SAVED:
        return None
    ways: list[Way] = []
    for each in reversed(there):
        _add_way(ways, decode(store.get(name, each.version).body, name), moment.iso(each.modified))
    return ways


def _add_way(ways: list[Way], catalog: Catalog, since: str) -> None:
    way = Way(since, catalog.layout, catalog.naming, catalog.tenant_attribute, catalog.key_order)
    if not ways or msgspec.structs.replace(way, since=ways[-1].since) != ways[-1]:
        ways.append(way)


def _ways_with(store: ObjectStore, catalog: Catalog, upon: Current | None) -> tuple[Way, ...] | None:
    """Returns the ways of the catalog that is to be changed, followed by the new catalog's way."""
    known = [] if upon is None else ways_of(store, upon.catalog)
    if known is None:
        return None
    ways = list(known)
    _add_way(ways, catalog, catalog.initialised if upon is None else moment.iso(upon.modified))
    return tuple(ways)


def former_of(store: ObjectStore, catalog: Catalog) -> tuple[Former, ...]:
    """Returns the streams that the table had before, oldest first.

    For catalogs saved by an older version of this tool, only the catalog's old versions hold them.
    """
    if catalog.ways is not None or catalog.kinesis is not None:
        return catalog.former
    found = {each.stream_arn: each for each in catalog.former}
    for each in every_version(store, catalog.table):
        if each.stream_arn and each.stream_arn != catalog.stream_arn and each.kinesis is None:
            found.setdefault(each.stream_arn, Former(each.stream_arn, each.table_id))
    return tuple(sorted(found.values(), key=lambda former: former.stream_arn.rpartition("/")[2]))


def _former_with(store: ObjectStore, catalog: Catalog, upon: Current | None) -> tuple[Former, ...]:
    """Returns the new catalog's former streams, and those in old versions of the catalog before it, which a rule may remove from
    now on.
    """
    known = () if upon is None else former_of(store, upon.catalog)
    ours = {each.stream_arn for each in catalog.former} | {catalog.stream_arn}
    return (*(each for each in known if each.stream_arn not in ours), *catalog.former)
