"""The readers, each by a name, and what it is given. What a reader raises is one of our errors, whatever it is given."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zstandard

from backstream.clock import SystemClock
from backstream.errors import BackstreamError
from backstream.model.calls import cloudtrail as trails
from backstream.model.changes import change, entry, invocation_record
from backstream.model.tables import grants, naming, settings_changes
from backstream.model.tables.settings import TableSettings
from backstream.model.tables.setup import TableNames, plan
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.file_names import name_bytes
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog
from backstream.vault.attribution import cloudtrail, findings
from backstream.vault.aws_export import lines, manifests
from backstream.vault.bases import Bases
from backstream.vault.drills import Drills
from backstream.vault.dumps.dump_pages import Pages, description_of
from backstream.vault.dumps.dumps import Dump
from backstream.vault.gaps.gaps import Gaps
from backstream.vault.log import frames, positions, segments
from backstream.vault.log.compacted import Compacted
from backstream.vault.log.segments import Codec, SegmentHeader
from fuzz import files, newer_records

SCHEMA = KeySchema(KeyAttribute("id", "S"), KeyAttribute("n", "N"))
NOT_GIVEN = (msgspec.MsgspecError, RecursionError)  # of an event, which Lambda decodes
TABLE = "flights"
SYSTEM = f"_backstream/{TABLE}/"
Target = Callable[[bytes], object]
_ARN = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}"
_NAMES = TableNames(_ARN, f"{_ARN}-new")
_CATALOG = catalog.Catalog(
    1,
    TABLE,
    _ARN,
    "an-id",
    SCHEMA,
    catalog.Layout.LOG,
    naming.Naming.SHA256,
    None,
    Codec.ZSTD,
    "2026",
    f"{_ARN}/stream/2026",
    "2026-01-01T00:00:00Z",
    None,
    msgspec.Raw(b"{}"),
)


def _in(name: str, read: Callable[[MemoryStore], object]) -> Target:
    """A reader of an object of that name."""

    def target(data: bytes) -> object:
        store = MemoryStore(SystemClock())
        store.put(name, data)
        return read(store)

    return target


def _as_text(read: Callable[[str], object]) -> Target:
    return lambda data: read(data.decode("utf-8", "replace"))


def _settings(data: bytes) -> object:
    """A catalog's settings, and the plan of a table like it."""
    return _planned(catalog.settings_of(catalog.decode(data, "catalog.json")))


def _description(data: bytes) -> object:
    """The same, of a table's description alone."""
    settings = msgspec.Raw(b'{"table":%s}' % data)
    return _planned(catalog.settings_of(msgspec.structs.replace(_CATALOG, settings=settings)))


def _planned(settings: TableSettings) -> object:
    made = plan(settings, SCHEMA, _NAMES)
    return grants.guarded(made, _NAMES, _NAMES.account), settings_changes.differences(settings, TableSettings({}))


def _policy(data: bytes) -> object:
    """A resource policy, which AWS gave as text."""
    return _planned(TableSettings({}, resource_policy=data.decode("utf-8", "replace")))


def _index(data: bytes) -> object:
    index = frames.read_index(data)
    segments.check_frames(index.claim, data)
    return index


def _trail(data: bytes) -> object:
    """A file of CloudTrail's, with all that its calls wrote."""
    target = trails.CallTarget.of("arn:aws:dynamodb:us-east-1:123456789012:table/flights", SCHEMA)
    found = [each for each in cloudtrail.events(data) if isinstance(each, dict)]
    return [list(trails.writes(each, target)) for each in found if trails.is_write(each) and target.owner(each)]


def _event(data: bytes) -> object:
    """A record of an event, as Lambda has decoded it."""
    record = msgspec.json.decode(data, type=dict[str, Any])
    return change.from_record(record, "2026")


TARGETS: Mapping[str, Target] = {
    "segment": lambda data: segments.read(SegmentHeader(Codec.ZSTD, 2), data),
    "segment-gzip": lambda data: segments.read(SegmentHeader(Codec.GZIP, 2), data),
    "lines": lambda data: segments.read(SegmentHeader(Codec.ZSTD, 2), zstandard.compress(data)),
    "states": entry.states,
    "line": entry.from_line,
    "compacted": _index,
    "generation": _in(f"{SYSTEM}compacted/generations/00000001.json", lambda store: Compacted(store, TABLE).current()),
    "sources": _in(
        f"{SYSTEM}compacted/00000001-abcdefabcdef/sources.ndjson.zst",
        lambda store: Compacted(store, TABLE).sources("00000001-abcdefabcdef"),
    ),
    "base-plan": _in(f"{SYSTEM}base/x/plan.json", lambda store: Bases(store, TABLE).plans()),
    "gap": _in(f"{SYSTEM}gaps/x.json", lambda store: list(Gaps(store, TABLE).all())),
    "drill": _in(f"{SYSTEM}drills/x.json", lambda store: Drills(store, TABLE).newest(1)),
    "catalog": _settings,
    "description": _description,
    "resource-policy": _policy,
    "positions": positions.decode,
    "summary": manifests.decode_summary,
    "files": manifests.decode_files,
    "item-line": lines.read_item,
    "change-line": lines.read_change,
    "findings": lambda data: findings.decode(zstandard.compress(data), "findings", "1"),
    "cloudtrail": _trail,
    "cloudtrail-gzip": lambda data: _trail(gzip.compress(data)),
    "dump": _in("manifest.json", Dump.open),
    "dump-page": lambda data: Pages().read(1, data, "page"),
    "dump-schema": lambda data: description_of(data, "schema"),
    "failed-batch": invocation_record.read,
    "glance": invocation_record.at_a_glance,
    "item": wire.well_formed_item,
    "same-item": lambda data: wire.same_image(*[*data.split(b"\n", 1), b"{}"][:2]),
    "key": lambda data: wire.key_of(SCHEMA, data),
    "segment-name": _as_text(segments.parse_path),
    "row-name": _as_text(lambda text: naming.parse_name(TABLE, naming.Naming.PLAIN, SCHEMA, tenants=False, name=f"{TABLE}/{text}")),
    "file-name": _as_text(name_bytes),
    "records": lambda data: change.from_page(data, "2026"),
    "event": _event,
    "gunzipped": lambda data: segments.read(SegmentHeader(Codec.GZIP, 2), gzip.compress(data)),
    **newer_records.TARGETS,
    **files.TARGETS,
}


def run(name: str, data: bytes) -> None:
    """One input for one reader. Raises what is none of our errors."""
    with contextlib.suppress(BackstreamError, *(NOT_GIVEN if name == "event" else ())):
        TARGETS[name](data)
