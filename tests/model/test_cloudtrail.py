"""Which items an event wrote to, in every shape that AWS documents; and who made the call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.calls.cloudtrail import CAN_BECOME, CallerIdentity, CallTarget, TrailOwner, is_write, writes
from backstream.model.values.key_arguments import NumberText
from backstream.model.values.schema import KeyAttribute, KeySchema
from kit.cloudtrail import Event, Table, event, service, session, user, where

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Music"
SCHEMA = KeySchema(KeyAttribute("Artist", "S"), KeyAttribute("Song", "N"))
TARGET = CallTarget.of(ARN, SCHEMA)
TABLE = Table(ARN)
ALICE = user("alice")
A, B = {"Artist": "A", "Song": 1}, {"Artist": "B", "Song": 2.5}
KEY_A, KEY_B = b'{"Artist":{"S":"A"},"Song":{"N":"1"}}', b'{"Artist":{"S":"B"},"Song":{"N":"2.5"}}'
PUT, ANY = CAN_BECOME["INSERT"] | CAN_BECOME["MODIFY"], 7


def read(one: Event) -> Event:
    """As it comes out of a file."""
    found: Event = json.loads(json.dumps(one), parse_int=NumberText, parse_float=NumberText)
    return found


def written(one: Event, target: CallTarget = TARGET) -> list[tuple[bytes | None, int]]:
    """The keys, and what they can have become."""
    return [(key, call.becomes) for key, call in writes(read(one), target)]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (TABLE.put(5, ALICE, A), [(KEY_A, PUT)]),
        (TABLE.update(5, ALICE, B), [(KEY_B, PUT)]),
        (TABLE.delete(5, ALICE, A), [(KEY_A, 4)]),
        (TABLE.batch(5, ALICE, [A], [B]), [(KEY_A, PUT), (KEY_B, 4)]),
        (
            TABLE.transaction(5, ALICE, [("Put", A), ("Delete", B), ("ConditionCheck", {"Artist": "C", "Song": 3})]),
            [(KEY_A, PUT), (KEY_B, 4)],
        ),
        (TABLE.statement(5, ALICE, f"UPDATE Music SET v = ***(Redacted) WHERE {where(A)}"), [(KEY_A, 2)]),
        (TABLE.statement(5, ALICE, f"SELECT * FROM Music WHERE {where(A)}", readOnly=True), []),
        (
            TABLE.statements(
                "BatchExecuteStatement",
                5,
                ALICE,
                f'DELETE FROM "Music" WHERE {where(A)}',
                "INSERT INTO Music VALUE {'Artist': 'B', 'Song': 2.5}",
            ),
            [(KEY_A, 4), (KEY_B, 1)],
        ),
        (
            TABLE.statements(
                "ExecuteTransaction", 5, ALICE, f"UPDATE Other SET a=1 WHERE {where(A)}", f"DELETE FROM Music WHERE {where(B)}"
            ),
            [(KEY_B, 4)],
        ),
        # BatchWriteItem in other shapes, since the guide has no example.
        (
            event("BatchWriteItem", 5, ALICE, {"requestItems": [{"tableName": "Music", "operation": "Put", "key": A}]}, ARN),
            [(KEY_A, PUT)],
        ),
        (event("BatchWriteItem", 5, ALICE, {"requestItems": {"Music": [{"key": A}]}}, ARN), [(KEY_A, ANY)]),
        (
            event("BatchWriteItem", 5, ALICE, {"requestItems": {"Music": [{"deleteRequest": A}, {"putRequest": B}]}}, ARN),
            [(KEY_A, 4), (KEY_B, PUT)],
        ),
        (
            event(
                "BatchWriteItem",
                5,
                ALICE,
                {"requestItems": [{"tableName": "Music", "requests": [{"operation": "Put", "key": A}]}]},
                ARN,
            ),
            [(KEY_A, PUT)],
        ),
        (event("BatchWriteItem", 5, ALICE, {"requestItems": {"Music": {"keys": [A, B]}}}, ARN), [(KEY_A, ANY), (KEY_B, ANY)]),
        (event("BatchWriteItem", 5, ALICE, {"requestItems": {ARN: [{"PutRequest": {"Item": A}}]}}, ARN), [(KEY_A, PUT)]),
        (
            event(
                "BatchWriteItem", 5, ALICE, {"requestItems": {"Other": [{"putRequest": {"key": A}}]}}, ARN.replace("Music", "Other")
            ),
            [],
        ),
    ],
)
def test_the_items_of_a_call(one: Event, expected: list[tuple[bytes | None, int]]) -> None:
    assert is_write(read(one))
    assert written(one) == expected


@pytest.mark.parametrize(
    ("one", "becomes"),
    [
        (event("PutItem", 5, ALICE, None, ARN), PUT),
        (event("PutItem", 5, ALICE, {"tableName": "Music", "items": ["Artist", "Song"]}, ARN), PUT),
        (event("DeleteItem", 5, ALICE, {"tableName": "Music", "key": {"Artist": "A"}}, ARN), 4),
        (event("DeleteItem", 5, ALICE, {"tableName": "Music", "key": {"Artist": 5, "Song": 1}}, ARN), 4),
        (event("BatchWriteItem", 5, ALICE, {"requestItems": {"Music": 25}}, ARN), ANY),
        (TABLE.statement(5, ALICE, "INSERT INTO Music VALUE {'Artist': ***(Redacted), 'Song': ***(Redacted)}"), 1),
        (TABLE.statement(5, ALICE, "UPDATE Music SET v = ? WHERE Artist = ? AND Song = ?"), 2),
        (TABLE.statement(5, ALICE, "not PartiQL at all"), ANY),
    ],
)
def test_a_call_that_does_not_tell_its_key_is_not_lost(one: Event, becomes: int) -> None:
    assert written(one) == [(None, becomes)]


@pytest.mark.parametrize(
    ("one", "is_one"),
    [
        (TABLE.put(5, ALICE, A, error="ConditionalCheckFailedException"), False),
        (TABLE.transaction(5, ALICE, [("Put", A)], error="TransactionCanceledException"), False),
        (event("GetItem", 5, ALICE, {"tableName": "Music", "key": A}, ARN), False),
        ({**TABLE.put(5, ALICE, A), "eventSource": "s3.amazonaws.com"}, False),
        (TABLE.put(5, ALICE, A), True),
    ],
)
def test_failed_calls_and_others_are_no_writes(one: Event, *, is_one: bool) -> None:
    assert is_write(one) is is_one


@pytest.mark.parametrize("wrong", [["PutItem"], {"name": "PutItem"}, 1, None])
def test_an_event_whose_name_is_no_text_is_no_write(wrong: object) -> None:
    assert not is_write({"eventSource": "dynamodb.amazonaws.com", "eventName": wrong})


def test_a_statement_that_failed_within_its_batch_wrote_nothing() -> None:
    one = TABLE.statements(
        "BatchExecuteStatement", 5, ALICE, f"DELETE FROM Music WHERE {where(A)}", f"DELETE FROM Music WHERE {where(B)}"
    )
    one["responseElements"] = {"responses": [{"error": {"code": "ConditionalCheckFailed"}}, {"tableName": "Music"}]}
    assert written(one) == [(KEY_B, 4)]


@pytest.mark.parametrize(
    ("arn", "own"),
    [
        (ARN, TrailOwner.OWN),
        (ARN.replace("123456789012", "999999999999"), TrailOwner.OTHER),
        (ARN.replace("us-east-1", "eu-west-1"), TrailOwner.OTHER),
        (ARN.replace("Music", "Other"), TrailOwner.OWN),
    ],
)
def test_a_table_of_the_same_name_elsewhere_is_another(arn: str, own: TrailOwner) -> None:
    one = Table(arn).put(5, ALICE, A)
    assert TARGET.owner(one) is own
    assert bool(written({**one, "requestParameters": {"tableName": "Music", "key": A}})) is (arn == ARN)


def test_an_event_without_arns_goes_by_account_and_region() -> None:
    bare = {name: value for name, value in TABLE.put(5, ALICE, A).items() if name != "resources"}
    assert TARGET.owner(bare) is TrailOwner.OWN
    assert TARGET.owner({**bare, "recipientAccountId": "999999999999"}) is TrailOwner.OTHER
    assert TARGET.owner({**bare, "awsRegion": "eu-west-1"}) is TrailOwner.OTHER
    assert TARGET.owner({name: value for name, value in bare.items() if name != "awsRegion"}) is TrailOwner.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "plain", "typed"),
    [
        ("S", "5", "5"),
        ("N", 1e100, "1" + "0" * 100),
        ("N", 12345678901234567890123456789012345678, "12345678901234567890123456789012345678"),
        ("N", "1.50", "1.5"),
        ("N", {"N": "1E+3"}, "1000"),
        ("B", "AAE=", "AAE="),
        ("S", 5, None),
        ("N", "five", None),
        ("N", True, None),
        ("B", "not base64!", None),
        ("S", "***(Redacted)", None),
        ("S", None, None),
    ],
)
def test_keys_match_by_value(kind: str, plain: Any, typed: str | None) -> None:
    target = CallTarget.of(ARN, KeySchema(KeyAttribute("id", kind)))
    ((key, _),) = written(event("DeleteItem", 5, ALICE, {"tableName": "Music", "key": {"id": plain}}, ARN), target)
    assert key == (None if typed is None else json.dumps({"id": {kind: typed}}, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("who", "identity", "actor"),
    [
        (ALICE, CallerIdentity("IAMUser", ALICE["arn"], "", "", "AKIAALICE", "AIDAALICE"), "arn:aws:iam::123456789012:user/alice"),
        (
            session("deploy", "ci-42"),
            CallerIdentity(
                "AssumedRole",
                "arn:aws:sts::123456789012:assumed-role/deploy/ci-42",
                "arn:aws:iam::123456789012:role/deploy",
                "",
                "ASIADEPLOY",
                "AROADEPLOY:ci-42",
            ),
            "arn:aws:sts::123456789012:assumed-role/deploy/ci-42",
        ),
        (
            service("replication.dynamodb.amazonaws.com"),
            CallerIdentity("AWSService", invoked_by="replication.dynamodb.amazonaws.com"),
            "replication.dynamodb.amazonaws.com",
        ),
        (
            {"type": "AWSAccount", "accountId": "999999999999"},
            CallerIdentity("AWSAccount", principal_id="999999999999"),
            "999999999999",
        ),
        ({}, CallerIdentity(), ""),
        (None, CallerIdentity(), ""),
    ],
)
def test_who_made_the_call(who: Any, identity: CallerIdentity, actor: str) -> None:
    ((_, call),) = writes(read({**TABLE.put(5, {}, A), "userIdentity": who}), TARGET)
    assert call.identity == identity
    assert call.identity.actor == actor
    assert (call.second, call.source_address, call.user_agent) == (5, "192.0.2.7", "aws-cli/2.15.0 Python/3.11.6")


def test_a_session_behind_a_service_has_every_name() -> None:
    ((_, call),) = writes(read(TABLE.put(5, session("worker", "i-0", invoked_by="glue.amazonaws.com"), A)), TARGET)
    assert call.identity.names == (
        "arn:aws:sts::123456789012:assumed-role/worker/i-0",
        "arn:aws:iam::123456789012:role/worker",
        "glue.amazonaws.com",
        "ASIAWORKER",
    )


@pytest.mark.parametrize("time", [None, "", "yesterday", "2026-11-29T10:00:00", 5])
def test_an_event_without_a_time_is_damaged(time: Any) -> None:
    with pytest.raises(Damaged, match="eventTime"):
        list(writes(read({**TABLE.put(5, ALICE, A), "eventTime": time}), TARGET))


_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.sampled_from(["Music", ARN, "Put", "DELETE FROM Music WHERE Artist = 'A'"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["tableName", "key", "Key", "keys", "item", "operation", "requestItems", "Music", "statement", "Artist", "Song"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_anything, st.sampled_from(["PutItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement", "ExecuteTransaction"]))
def test_any_parameters_are_read(parameters: Any, name: str) -> None:
    for key, call in writes(event(name, 5, ALICE, parameters, ARN), TARGET):
        assert call.becomes in range(1, 8)
        assert key is None or key.startswith(b'{"Artist":{"S":')
