"""Every reader of what lies in a bucket, given anything: only errors of ours come of it. `make fuzz` does the same for an hour."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import TARGETS, run
from kit.bombs import DEEP, DIGITS

ROOT = Path(__file__).parents[2]
ODD = [DEEP, DIGITS, b"null", b"1e999", b"-1", b"{}", b"[]", b'"9999-99-99"', b"\xff", b"99999999999999999999"]
SEEDS = [
    b'{"Item":{"id":{"S":"a"}}}',
    (
        b'{"Metadata":{"WriteTimestampMicros":{"N":"1"},"EventName":{"S":"INSERT"},"Stream":{"S":"2026"},"SequenceNumber":{"S":"7"}},'
        b'"Keys":{"id":{"S":"a"}}}'
    ),
    (
        b'{"eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":1,"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"}},'
        b'"SequenceNumber":"111","StreamViewType":"NEW_AND_OLD_IMAGES"}}'
    ),
    b'{"reason":"x","since":1,"until":1,"stream":"x"}',
    (
        b'{"Records":[{"eventSource":"dynamodb.amazonaws.com","eventName":"PutItem","eventTime":"2026-11-29T00:00:00Z","eventID":"e",'
        b'"requestParameters":{"tableName":"flights","key":{"id":"a","n":1.5}},"userIdentity":{"arn":"a","sessionContext":{}},'
        b'"resources":[{"ARN":"arn:aws:dynamodb:us-east-1:123456789012:table/flights"}]}]}'
    ),
    (
        b'{"Records":[{"eventSource":"dynamodb.amazonaws.com","eventName":"ExecuteStatement","eventTime":"2026-11-29T00:00:00Z",'
        b'"requestParameters":{"statement":"DELETE FROM flights WHERE id = \'a\' AND n = ?","parameters":[1]},'
        b'"resources":[{"ARN":"arn:aws:dynamodb:us-east-1:123456789012:table/flights"}]}]}'
    ),
    b'{"stream":"2026","sequence":"7","micros":1,"actor":"a","names":["a"],"call":{"event_time":"x","event_name":"PutItem"}}',
    (
        b'{"GlobalSecondaryIndexes":[{"IndexName":"a","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"WarmThroughput":{},'
        b'"ProvisionedThroughput":{"ReadCapacityUnits":1}}],"SSEDescription":{"SSEType":"KMS","KMSMasterKeyArn":"arn:x"},'
        b'"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"Replicas":[{"RegionName":"us-east-1"}]}'
    ),
    (
        b'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"dynamodb:*",'
        b'"Resource":["*"],"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:glue:us-east-1:123456789012:x"}}}]}'
    ),
    b'{"format":1,"number":1,"sets":[{"id":"00000001-abcdefabcdef","partitions":1,"lines":1,"size":1,"since":1,"until":2}]}',
]


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A good document in which one value or stretch is another."""
    seed = draw(st.sampled_from(SEEDS))
    begin = draw(st.integers(0, len(seed)))
    end = draw(st.integers(begin, min(len(seed), begin + 12)))
    return seed[:begin] + draw(st.sampled_from(ODD) | st.binary(max_size=8)) + seed[end:]


@pytest.mark.parametrize("name", TARGETS)
@given(data=altered() | st.binary(max_size=200))
def test_only_errors_of_ours(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.soak
@pytest.mark.skipif(find_spec("atheris") is None, reason="`make fuzz` installs it")
def test_a_minute_of_fuzzing() -> None:
    command = [sys.executable, "-m", "fuzz", "--seconds", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]
