"""The catalog: what a vault must know of a table to give it back without the table. Every change of it is kept as a version."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backstream.errors import AlreadyExists, ConditionNotMet, Damaged, MissingObject, NotFound, Unavailable, UsageError
from backstream.model import moment
from backstream.model.changes import kinesis
from backstream.model.changes.change import MICROS
from backstream.model.condition import path_of
from backstream.model.sealing import Signing
from backstream.model.tables.naming import SYSTEM_FOLDER, KeyOrder, Naming
from backstream.model.tables.settings import TableSettings, check_shape, from_description
from backstream.model.values.decoding import MISSHAPEN, UNDECODABLE, reason
from backstream.model.values.schema import KEY_TYPES, KeySchema
from backstream.ports import ObjectStore, StoredObject
from backstream.vault import below_markers
from backstream.vault.log.segments import Codec

FORMAT = 2
FIRST_FORMAT = 1  # of a table that was never made again: every version of this tool reads it
FIRST_SAVED = 600  # seconds after `initialised` by which the first catalog was saved, whatever clocks tell
ATTEMPTS = 20  # to change a catalog that others change at the same time
_EARLIER = "Its earlier versions are in the bucket."
_LOST = "Bring it back from the bucket's versions or from a replica. `backstream init` would begin a new one."


class Layout(enum.StrEnum):
    """Where images live: each a version of its item's object, or inline in the log's segments."""

    ROWS = "rows"
    LOG = "log"


class BaseBackup(msgspec.Struct, frozen=True):
    """A base backup, for people who read the catalog: from `ended` on the vault knows every item, once the log reaches there."""

    id: str
    kind: str
    began: str
    ended: str


class Adopted(msgspec.Struct, frozen=True):
    """What an older tool had written before: from when to when its objects arrived (ISO 8601), and how many versions were taken in.

    `until`: what arrived later is not in the log; `folder`: where its objects lie, below the vault's root.
    """

    since: str
    until: str
    versions: int
    folder: str


class Former(msgspec.Struct, frozen=True):
    """A stream that the table had before, and the id that the table had then."""

    stream_arn: str
    table_id: str


class Life(msgspec.Struct, frozen=True):
    """The table was deleted and created again: `created` (second), with this id. Nothing of before is a row of it.

    `stream`: the label of its first stream, empty where its changes come from a Kinesis stream, or it had none when this was seen;
    `complete`: whether that stream was on from its creation, when it was empty, so that the vault knows every item from then on.
    """

    created: int
    table_id: str
    stream: str
    complete: bool


class Way(msgspec.Struct, frozen=True):
    """How changes were kept: from some time after `since` (ISO 8601) until the next way, or now.

    Whoever reads what was kept long ago needs all of them. Old versions of the catalog have them too, but a lifecycle rule may have
    removed those.
    """

    since: str
    layout: Layout
    naming: Naming
    tenant_attribute: str | None
    key_order: KeyOrder = KeyOrder.SCHEMA


class Catalog(msgspec.Struct, frozen=True):
    """One table as the vault knows it.

    `complete_from`: the second from which the vault knows every item (the table was empty then), None while it does not;
    `compress`: how new segments of the log are; `settings`: the table's, read by `settings_of`. They stay bytes here, so that who
    keeps changes (a Lambda function loads the catalog for each batch) neither pays for them nor stumbles over them. `base_backup`:
    the newest complete one; what counts is the list of them below `base/complete/`. `failures`: the bucket where
    what Lambda gives up lands, None where there is none. `kinesis`: set where changes come from Kinesis, not from the table's own
    stream; `stream` is then the label that they get here, the time from which on they do, and `stream_arn` the Kinesis stream's.
    `adopted`: where an older tool wrote here first; `key_order`: of the attributes in row objects' names. `former`: the streams
    that it had before `stream_arn`; `lives`: each time that the table was deleted and created again, the oldest first. `ways`: in
    which changes were ever kept, oldest first, the last is that of this catalog; None where an older version saved it: `ways_of`.
    `actor_attribute`: the path of the attribute in which an item names its last writer; None where there is none.
    `bucket_owner`: the account that the vault's bucket belongs to, None where nobody knew.
    `signing`: with which key the vault's own objects are signed, None where they are not.
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

    def life_at(self, second: int) -> Life | None:
        """The life of the table at a second; None where it is the first one that the vault knows."""
        return next((life for life in reversed(self.lives) if life.created <= second), None)


def folder(table: str) -> str:
    """The vault's own folder for a table, below the vault's root."""
    return f"{SYSTEM_FOLDER}/{table}/"


def name_of(table: str) -> str:
    """The object in which a table's catalog is kept."""
    return folder(table) + "catalog.json"


def encode(catalog: Catalog) -> bytes:
    """The catalog as JSON for people: indented, fields in the order above; what few tables have is left out of others."""
    fields = msgspec.structs.asdict(catalog)
    fields["format"] = FORMAT if catalog.lives else FIRST_FORMAT  # an older tool would give back rows of an earlier life
    for name, usual in (
        ("kinesis", None),
        ("adopted", None),
        ("key_order", KeyOrder.SCHEMA),
        ("former", ()),
        ("lives", ()),
        ("ways", None),
        ("actor_attribute", None),
        ("bucket_owner", None),
        ("signing", None),
    ):
        if fields[name] == usual:
            del fields[name]
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"


def decode(body: bytes, name: str) -> Catalog:
    """The inverse of `encode`. Damaged where it is none, or of a format that is newer than this tool."""
    try:
        catalog = msgspec.json.decode(body, type=Catalog)
    except UNDECODABLE as error:
        raise Damaged(f"the catalog {name} cannot be read: {reason(error)}", hint=_EARLIER) from error
    if not _is_sound(catalog):
        raise Damaged(f"the catalog {name} says what none does", hint=_EARLIER)
    if catalog.format > FORMAT:
        raise Damaged(f"the catalog {name} is of format {catalog.format}", hint="Use a newer Backstream.")
    return catalog


def _is_sound(catalog: Catalog) -> bool:
    """Whether its times are times, its paths paths, and its key one that a table can have."""
    adopted = () if catalog.adopted is None else (catalog.adopted.since, catalog.adopted.until)
    try:
        for each in (catalog.initialised, *adopted):
            moment.parse_iso_micros(each)
        if catalog.actor_attribute is not None:
            path_of(catalog.actor_attribute)
    except (ValueError, OverflowError, UsageError):
        return False
    if catalog.bucket_owner is not None and not re.fullmatch("[0-9]{12}", catalog.bucket_owner):
        return False
    complete = catalog.complete_from is None or moment.is_known(catalog.complete_from)
    return complete and all(each.type in KEY_TYPES for each in catalog.key_schema.attributes)


def settings_of(catalog: Catalog) -> TableSettings:
    """The table's settings. Catalogs of the first version hold DescribeTable's answer as it came: all else is unknown there.

    Damaged where they are neither.
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
    """The same catalog with these settings."""
    return msgspec.structs.replace(catalog, settings=encode_settings(settings))


def encode_settings(settings: TableSettings) -> msgspec.Raw:
    """Settings as a catalog holds them."""
    return msgspec.Raw(msgspec.json.encode(settings))


class Current(msgspec.Struct, frozen=True):
    """A table's current catalog, the tag of its object, and when the store received it: what a change of it is made upon.

    `tag` is None where a delete marker hides it: a change then comes on top of the marker.
    """

    catalog: Catalog
    tag: str | None
    modified: float = 0.0


def load(store: ObjectStore, table: str) -> Catalog:
    """The table's current catalog. NotFound where `init` has not been run."""
    return current(store, table).catalog


def known(store: ObjectStore, table: str) -> Current | None:
    """The table's current catalog, to be changed; None where there is none."""
    try:
        return current(store, table)
    except NotFound:
        return None


def current(store: ObjectStore, table: str) -> Current:
    """The table's current catalog, to be changed. NotFound where `init` has not been run."""
    try:
        found, tag = _found(store, name_of(table))
    except MissingObject as error:
        raise _unknown(store, table) from error
    catalog = decode(found.body, name_of(table))
    if catalog.table != table:
        raise Damaged(f"the catalog {name_of(table)} is of the table {catalog.table!r:.300}", hint=_EARLIER)
    return Current(catalog, tag, found.info.modified)


def _unknown(store: ObjectStore, table: str) -> NotFound:
    """There is no catalog, because there never was one, or because it is lost."""
    if any(not each.marker for each in store.versions(folder(table))):
        return NotFound(
            f"the catalog of {table!r} is lost: {name_of(table)} is gone from {store.url}, other objects are there", hint=_LOST
        )
    return NotFound(
        f"the vault {store.url} does not know the table {table!r}",
        hint=f"Run `backstream init {table} --vault {store.url}` first.",
    )


def _found(store: ObjectStore, name: str) -> tuple[StoredObject, str | None]:
    try:
        found = store.get(name)
    except MissingObject:
        return below_markers.get(store, name), None
    return found, found.info.tag


def save(store: ObjectStore, catalog: Catalog, upon: Current | None) -> None:
    """Make this the current catalog in place of the one that it was made of (None: it is the first); earlier ones stay as versions.

    ConditionNotMet where somebody has changed it meanwhile: then nothing is written, and the change is to be made anew.
    """
    catalog = msgspec.structs.replace(catalog, ways=_ways_with(store, catalog, upon), former=_former_with(store, catalog, upon))
    name, body = name_of(catalog.table), encode(catalog)
    metadata = {"format": str(FORMAT if catalog.lives else FIRST_FORMAT)}
    try:
        if upon is None or upon.tag is None:
            store.put(name, body, metadata, if_absent=True)
        else:
            store.put(name, body, metadata, if_match=upon.tag)
    except (AlreadyExists, MissingObject) as error:
        raise ConditionNotMet(error.message) from error


def change(store: ObjectStore, table: str, changed: Callable[[Catalog], Catalog]) -> Catalog:
    """Change the table's catalog and return it. No change of others is lost: `changed` is asked again where it met another.

    Nothing is written where nothing is different. NotFound before `init`; Unavailable where others change it all the time.
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
    """The error where others change a catalog again and again."""
    return Unavailable(
        f"the catalog of {table} in {store.url} is changed by others all the time: this change was not made", hint="Try again."
    )


def every_version(store: ObjectStore, table: str) -> Sequence[Catalog]:
    """All catalogs the table ever had, newest first: an item's objects may bear the names of any of them."""
    name = name_of(table)
    return [decode(store.get(name, each.version).body, name) for each in store.versions_of(name) if not each.marker]


def ways_of(store: ObjectStore, catalog: Catalog) -> Sequence[Way] | None:
    """All ways in which the table's changes were ever kept, oldest first; None where nobody knows any more.

    A catalog that an older version of this tool saved does not say: then its old versions tell, if none of them has been removed.
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
    """Those of the catalog that is to be changed, and that of the new one."""
    known = [] if upon is None else ways_of(store, upon.catalog)
    if known is None:
        return None
    ways = list(known)
    _add_way(ways, catalog, catalog.initialised if upon is None else moment.iso(upon.modified))
    return tuple(ways)


def former_of(store: ObjectStore, catalog: Catalog) -> tuple[Former, ...]:
    """The streams that the table had before, oldest first. What an older version of this tool saved, only old versions tell."""
    if catalog.ways is not None or catalog.kinesis is not None:
        return catalog.former
    found = {each.stream_arn: each for each in catalog.former}
    for each in every_version(store, catalog.table):
        if each.stream_arn and each.stream_arn != catalog.stream_arn and each.kinesis is None:
            found.setdefault(each.stream_arn, Former(each.stream_arn, each.table_id))
    return tuple(sorted(found.values(), key=lambda former: former.stream_arn.rpartition("/")[2]))


def _former_with(store: ObjectStore, catalog: Catalog, upon: Current | None) -> tuple[Former, ...]:
    """Those of the new catalog, and what old versions tell of the one before it: from now on a rule may remove them."""
    known = () if upon is None else former_of(store, upon.catalog)
    ours = {each.stream_arn for each in catalog.former} | {catalog.stream_arn}
    return (*(each for each in known if each.stream_arn not in ours), *catalog.former)
