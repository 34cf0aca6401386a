"""Tests the permissions of the commands by real calls that change nothing, and reports each denied one by its IAM action and
resource.

It tests no writes, except one object of the vault on request.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec

from backstream.errors import AccessDenied, MissingObject, UnversionedBucket
from backstream.model.tables.naming import SYSTEM_FOLDER
from backstream.operations.doctor.context import DoctorContext, VaultPlace
from backstream.operations.doctor.report import ALLOWED, Check, CheckVerdict, look, not_looked_at, ok, wrong
from backstream.ports import ObjectStore, StreamFacts, Table, TableFacts

FOLDER = f"{SYSTEM_FOLDER}/~doctor/"  # no table can have that name
SMALL = 1 << 20  # bytes
KEYS = {"S": "backstream-doctor", "N": "0", "B": "AA=="}


class _Need(msgspec.Struct, frozen=True):
    """A call, with its IAM action and resource. `for_what`: the commands that do not work without it."""

    action: str
    resource: str
    for_what: str
    call: Callable[[], object]


# --- the vault --------------------------------------------------------------------------------------------------------------------


def of_vault(place: VaultPlace, bucket_name: str, *, write: bool) -> list[Check]:
    """Tests the permissions to read the vault; with `write`, those to write it, too."""
    bucket, objects = f"arn:aws:s3:::{bucket_name}", f"arn:aws:s3:::{bucket_name}/{place.prefix}*"
    reading = [
        _Need("s3:ListBucket", bucket, "everything", lambda: next(iter(place.store.list(SYSTEM_FOLDER)), None)),
        _Need("s3:ListBucketVersions", bucket, "restores", lambda: next(iter(place.store.versions(SYSTEM_FOLDER)), None)),
        _Need("s3:GetBucketVersioning", bucket, "init", partial(_versioned, place.store)),
        _Need("s3:GetObject", objects, "everything", partial(_get_missing, place.store)),
        _Need("s3:GetObjectVersion", objects, "restores", partial(_get_version, place.store)),
    ]
    return [*_tried(reading), *(look("writing to the vault", partial(_written, place, objects)) if write else ())]


def _versioned(store: ObjectStore) -> None:
    try:
        store.check()
    except UnversionedBucket:
        return  # asked and answered: what it says is another check's matter


def _get_missing(store: ObjectStore) -> None:
    try:
        store.get(f"{FOLDER}{secrets.token_hex(8)}")
    except MissingObject:
        return  # what is denied is not said to be missing


def _get_version(store: ObjectStore) -> None:
    """Reads a version of some small object of the vault; an empty vault has none yet."""
    small = (each for each in store.versions(SYSTEM_FOLDER) if not each.marker and each.size < SMALL)
    if (each := next(small, None)) is not None:
        store.get(each.name, each.version)


def _written(place: VaultPlace, objects: str) -> Iterator[Check]:
    name, body = f"{FOLDER}written", secrets.token_hex(16).encode()
    needs = [
        _Need("s3:PutObject", objects, "capture", lambda: place.store.put(name, body)),
        _Need("s3:DeleteObject", objects, "capture in the rows layout, compact", lambda: place.store.delete(name)),
    ]
    put = _tried(needs[:1])
    yield from put
    if put[0].verdict is not CheckVerdict.OK:
        return
    if place.store.get(name).body != body:
        yield wrong("reading back", f"{place.url}/{name} is not what was put there")
    yield from _tried(needs[1:])


# --- the table --------------------------------------------------------------------------------------------------------------------


def of_table(patient: DoctorContext, table: Table, facts: TableFacts) -> list[Check]:
    """Tests the permissions to read the table and its stream."""
    key = msgspec.json.encode({each.name: {each.type: KEYS[each.type]} for each in facts.schema.attributes})
    reading = [
        _Need("dynamodb:Scan", facts.arn, "backfill, verify, drill, restore", lambda: table.page(0, 1, None, limit=1)),
        _Need("dynamodb:BatchGetItem", facts.arn, "verify, restore", lambda: table.fetch([key])),
    ]
    return [*_tried(reading), *_of_stream(patient, facts)]


def _of_stream(patient: DoctorContext, facts: TableFacts) -> list[Check]:
    arn = facts.stream_arn
    if arn is None or not facts.stream_enabled:
        return not_looked_at(["dynamodb:GetRecords"], "the table has no stream")
    stream = patient.stream_of(arn)
    found: list[StreamFacts] = []
    describing = _Need("dynamodb:DescribeStream", arn, "tail, status", lambda: found.append(stream.facts()))
    checks = _tried([describing])
    shards = [each.id for one in found for each in one.shards if each.last is None]
    if not shards:
        return [*checks, *not_looked_at(["dynamodb:GetRecords"], "the stream has no open shard to read")]
    iterators: list[str] = []
    checks += _tried([_Need("dynamodb:GetShardIterator", arn, "tail", lambda: iterators.append(stream.iterator(shards[0], None)))])
    if iterators:
        checks += _tried([_Need("dynamodb:GetRecords", arn, "tail", lambda: stream.read(shards[0], iterators[0]))])
    return checks


# --- trying -----------------------------------------------------------------------------------------------------------------------


def _tried(needs: list[_Need]) -> list[Check]:
    return [check for need in needs for check in look(need.action, partial(_try, need))]


def _try(need: _Need) -> Check:
    try:
        need.call()
    except AccessDenied as error:
        found = (
            f"denied on {need.resource}, which {need.for_what} need{'s' if need.for_what == 'everything' else ''}: {error.message}"
        )
        return wrong(need.action, found, f"allow: {_statement(need)}")
    return ok(need.action, ALLOWED)


def _statement(need: _Need) -> str:
    statement: Mapping[str, str] = {"Effect": "Allow", "Action": need.action, "Resource": need.resource}
    return msgspec.json.encode(statement).decode()
