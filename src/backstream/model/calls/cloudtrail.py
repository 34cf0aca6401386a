"""Reads DynamoDB's data events in CloudTrail: the calls that wrote to items of one table, and their callers.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html, "Understanding DynamoDB log
file entries", and https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from backstream.errors import Damaged, MalformedRecord
from backstream.model import moment
from backstream.model.calls import partiql
from backstream.model.values.key_arguments import typed
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_value

SOURCE = "dynamodb.amazonaws.com"
CAN_BECOME: Mapping[str, int] = {"INSERT": 1, "MODIFY": 2, "REMOVE": 4}  # a bit for each event of a stream
_PUT, _DELETE, _ANY = 3, 4, 7
_OF_STATEMENT = {partiql.PartiqlVerb.INSERT: 1, partiql.PartiqlVerb.UPDATE: 2, partiql.PartiqlVerb.DELETE: 4}
_SINGLE = {"PutItem": _PUT, "UpdateItem": _PUT, "DeleteItem": _DELETE}
_MANY = ("BatchWriteItem", "TransactWriteItems")
_PARTIQL = ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")
WRITES = frozenset((*_SINGLE, *_MANY, *_PARTIQL))
_OF_WORD = {"put": _PUT, "update": _PUT, "delete": _DELETE, "conditioncheck": 0, "check": 0}
_DEEPEST = 8  # levels of request parameters
_LONGEST = 2_048  # characters of one field: CloudTrail's own limits are lower
_MEMORY: dict[str, int] = {}  # parsed times in seconds: the times in a file repeat
_MOST_REMEMBERED = 4_096


class CallerIdentity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The caller: `userIdentity` of the call's event. Fields are empty if the event does not state them.

    `issuer`: the ARN of the role of a session; `invoked_by`: the AWS service that made the call for somebody.
    """

    type: str = ""
    arn: str = ""
    issuer: str = ""
    invoked_by: str = ""
    access_key_id: str = ""
    principal_id: str = ""

    @property
    def actor(self) -> str:
        """The name to show: the ARN, or the service, or the principal's id, whichever comes first. Empty where the event has none
        of them."""
        return self.arn or self.invoked_by or self.principal_id

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which the caller can be searched."""
        found = (self.actor, self.arn, self.issuer, self.invoked_by, self.access_key_id)
        return tuple(dict.fromkeys(each for each in found if each))


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call that succeeded.

    `second`: the event's time; `becomes`: bits of `CAN_BECOME` for the events that it can have led to.
    """

    second: int
    becomes: int
    event_id: str
    request_id: str
    operation: str
    identity: CallerIdentity
    source_address: str
    user_agent: str

    @property
    def id(self) -> str:
        """An id that is equal for two deliveries of one event."""
        return self.event_id or self.request_id or f"{self.second} {self.identity.actor} {self.operation} {self.source_address}"


class TrailOwner(enum.Enum):
    """The owner of an event: the table's account and region, another one, or unknown."""

    OWN = enum.auto()
    OTHER = enum.auto()
    UNKNOWN = enum.auto()


class CallTarget(msgspec.Struct, frozen=True):
    """The table whose calls are searched."""

    arn: str
    name: str
    account: str
    region: str
    schema: KeySchema

    @classmethod
    def of(cls, arn: str, schema: KeySchema) -> CallTarget:
        """Returns the target for a table's ARN. Raises ValueError if the text is not one."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith("table/"):
            raise ValueError(f"not the ARN of a table: {arn!r}")
        return cls(arn, parts[5].removeprefix("table/"), parts[4], parts[3], schema)

    def owner(self, event: Mapping[str, Any]) -> TrailOwner:
        """Returns the owner that an event states."""
        account, region = _text(event.get("recipientAccountId")), _text(event.get("awsRegion"))
        resources = [arn for arn in _arns(event) if ":dynamodb:" in arn]
        if resources:
            places = [tuple(arn.split(":", 5)[3:5]) for arn in resources]
            return TrailOwner.OWN if (self.region, self.account) in places else TrailOwner.OTHER
        if (account and account != self.account) or (region and region != self.region):
            return TrailOwner.OTHER
        return TrailOwner.OWN if account and region else TrailOwner.UNKNOWN

    def is_among(self, arns: Collection[str]) -> bool:
        """True if one of these ARNs belongs to the table or to a part of it."""
        return any(arn == self.arn or arn.startswith(f"{self.arn}/") for arn in arns)

    def is_named(self, name: str) -> bool:
        """True if a request in the owner's event names the table, by name or by ARN."""
        return name in (self.name, self.arn)


Written = tuple[bytes | None, Call]  # a canonical key, None where the event does not tell it, and the call


def is_write(event: Mapping[str, Any]) -> bool:
    """True for a successful call that may have written to some table of DynamoDB."""
    return event.get("eventSource") == SOURCE and _text(event.get("eventName")) in WRITES and not event.get("errorCode")


def writes(event: Mapping[str, Any], target: CallTarget) -> Iterator[Written]:
    """Yields what a write event wrote to the table: each item once, with None for an item whose key is not stated.

    `event` is one that `is_write` accepts, decoded, with numbers as `key_arguments.NumberText`. Raises Damaged if it has no time.
    """
    operation, arns = str(event.get("eventName")), _arns(event)
    if arns and not target.is_among(arns):
        return
    found = dict.fromkeys(_items(operation, event, target))
    if not found and operation in _MANY and arns:
        found = {(None, _ANY): None}
    if not found:
        return
    second = second_of(event)
    identity = _identity(event.get("userIdentity"))
    for key, becomes in found:
        if becomes:
            yield (
                key,
                Call(
                    second,
                    becomes,
                    _text(event.get("eventID")),
                    _text(event.get("requestID")),
                    operation,
                    identity,
                    _text(event.get("sourceIPAddress")),
                    _text(event.get("userAgent")),
                ),
            )


def second_of(event: Mapping[str, Any]) -> int:
    """Returns the second of an event's `eventTime`. Raises Damaged if it is not a time."""
    text = event.get("eventTime")
    if not isinstance(text, str):
        raise Damaged("an event without eventTime")
    known = _MEMORY.get(text)
    if known is None:
        try:
            known = moment.parse_iso_micros(text) // 1_000_000
        except (ValueError, OverflowError) as error:
            raise Damaged(f"an event whose eventTime is no time: {text!r:.60}") from error
        if len(_MEMORY) >= _MOST_REMEMBERED:
            _MEMORY.clear()
        _MEMORY[text] = known
    return known


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _arns(event: Mapping[str, Any]) -> list[str]:
    resources = event.get("resources")
    each = resources if isinstance(resources, list) else []
    arns = [one.get("ARN") or one.get("arn") for one in each if isinstance(one, dict)]
    return [arn for arn in arns if isinstance(arn, str)]


def _identity(found: object) -> CallerIdentity:
    if not isinstance(found, dict):
        return CallerIdentity()
    session = found.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, dict) else None
    return CallerIdentity(
        type=_text(found.get("type")),
        arn=_text(found.get("arn")),
        issuer=_text(issuer.get("arn")) if isinstance(issuer, dict) else "",
        invoked_by=_text(found.get("invokedBy")),
        access_key_id=_text(found.get("accessKeyId")),
        principal_id=_text(found.get("principalId")) or _text(found.get("accountId")),
    )


# --- the items of a request -------------------------------------------------------------------------------------------------------

_Item = tuple[bytes | None, int]  # a key, and the bits of what it can have become


def _items(operation: str, event: Mapping[str, Any], target: CallTarget) -> Iterator[_Item]:
    parameters = event.get("requestParameters")
    if not isinstance(parameters, dict):  # left out, as of a request that is too large
        if target.is_among(_arns(event)):
            yield None, _SINGLE.get(operation, _ANY)
    elif operation in _PARTIQL:
        yield from _of_statements(parameters, event, target)
    else:
        yield from _of_requests(parameters, target, "", _SINGLE.get(operation, _ANY), 0)


def _of_requests(node: object, target: CallTarget, table: str, becomes: int, depth: int) -> Iterator[_Item]:
    """Yields the keys in request parameters, whatever the spelling and the nesting: AWS's own examples have several."""
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for each in node:
            yield from _of_requests(each, target, table, becomes, depth + 1)
        return
    if not isinstance(node, dict):
        return
    fields = {str(name).lower(): value for name, value in node.items()}
    named = fields.get("tablename")
    table = named if isinstance(named, str) else table
    word = fields.get("operation")
    becomes = _OF_WORD.get(word.lower(), _ANY) if isinstance(word, str) else becomes
    if _is_request(fields):
        for place in _places(fields) if target.is_named(table) else ():
            yield key_in(target.schema, *place), becomes
        return
    if depth and target.is_named(table) and (key := key_in(target.schema, node)) is not None:
        yield key, becomes
        return
    for name, value in node.items():
        inner = _OF_WORD.get(str(name).lower().removesuffix("request"), becomes)
        here = str(name) if target.is_named(str(name)) else table
        yield from _of_requests(value, target, here, inner, depth + 1)


def _is_request(fields: Mapping[str, Any]) -> bool:
    """True if it is the request of one item: it has a key or an item to put, or it names a table and nests nothing."""
    if any(isinstance(fields.get(name), list | dict) for name in ("key", "keys", "item", "items")):
        return True
    return "tablename" in fields and not any(isinstance(value, list | dict) and _nested(value) for value in fields.values())


def _places(fields: Mapping[str, Any]) -> list[list[Any]]:
    """Returns the places of keys in a request: for each of its items the places that may hold its key."""
    keys = fields.get("keys")
    if isinstance(keys, list):
        return [[each] for each in keys]
    return [[fields.get(name) for name in ("key", "keys", "item", "items")]]


def _nested(value: object) -> bool:
    """True if requests may be nested in it, rather than names and values of expressions."""
    found = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return any(isinstance(each, dict | list) for each in found)


def key_in(schema: KeySchema, *places: object) -> bytes | None:
    """Returns the canonical key in the first of these that holds it, with plain or typed values; None if none of them does."""
    for place in places:
        if isinstance(place, dict):
            values = {each.name: _value(each, place.get(each.name)) for each in schema.attributes}
            if None not in values.values():
                return msgspec.json.encode(values)
    return None


def _value(attribute: KeyAttribute, word: object) -> dict[str, str] | None:
    """Returns `{"S":"a"}` for a key attribute's plain value; None if the value is not of its type."""
    if isinstance(word, str) and word.startswith(partiql.REDACTED):
        return None
    try:
        found = canonical_value(attribute, typed(attribute, word))
        if attribute.type == "B":
            return {"B": base64.b64encode(base64.b64decode(found["B"], validate=True)).decode()}
        found[attribute.type].encode()  # half of a surrogate pair is no key
    except (MalformedRecord, binascii.Error, ValueError):
        return None
    return found


# --- PartiQL ----------------------------------------------------------------------------------------------------------------------


def _of_statements(parameters: Mapping[str, Any], event: Mapping[str, Any], target: CallTarget) -> Iterator[_Item]:
    failed = _failed(event.get("responseElements"))
    for number, (text, values) in enumerate(_statements(parameters, 0)):
        if number in failed:
            continue
        try:
            statement = partiql.parse(text, values)
        except ValueError:
            if target.is_among(_arns(event)):
                yield None, _ANY
            continue
        if statement is not None and target.is_named(statement.table):
            yield key_in(target.schema, statement.values), _OF_STATEMENT[statement.verb]


def _statements(node: object, depth: int) -> Iterator[tuple[str, list[Any]]]:
    """Yields each statement with its parameters."""
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for each in node:
            yield from _statements(each, depth + 1)
    elif isinstance(node, dict):
        fields = {str(name).lower(): value for name, value in node.items()}
        text, values = fields.get("statement"), fields.get("parameters")
        if isinstance(text, str):
            yield text, values if isinstance(values, list) else []
            return
        for value in node.values():
            yield from _statements(value, depth + 1)


def _failed(answer: object) -> set[int]:
    """Returns the numbers of the statements that failed on their own in a batch, if the event has the answer."""
    responses = answer.get("responses", answer.get("Responses")) if isinstance(answer, dict) else None
    each = responses if isinstance(responses, list) else []
    return {number for number, one in enumerate(each) if isinstance(one, dict) and (one.get("error") or one.get("Error"))}
