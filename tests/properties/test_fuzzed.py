"""Every reader of what lies in a bucket, given anything: only errors of ours come of it. `make fuzz` does the same for an hour."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import BackstreamError
from fuzz import files, newer_records
from fuzz.targets import TARGETS, Target, run
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
OF_RECORDS = [
    (
        b'{"format":2,"id":"20261130T085437Z-452049","at":"2026-11-30T08:54:30Z","by":"x","reason":"r","salt":"ab","forgets":true,'
        b'"rows":[["aa",[[0,null],[5,7]]]],"objects":["x"],"partition":"x","versions_removed":1}'
    ),
    b'{"format":1,"groups":[{"salt":"ab","keys":["x"],"partitions":["y"]}],"waiting":[["a","1"]]}',
    b'[{"object":"x","lines":1}]',
    b'{"erasure":"20261130T085437Z-452049","taken":{"x":1}}',
    b'{"format":1,"name":"shop","saved":"x","tables":["a"]}',
    b'{"format":1,"columns":[{"name":"a_s","attribute":"a","type":"S"}]}',
    b'{"number":1,"format":1,"standing":[[{"reason":"x","since":1,"until":2,"stream":"s"},[["a","1"]]]],"closed":[]}',
    (
        b'{"horizon":{"second":1795000000,"since":"x","base":"b"},"erasures":["20261130T085437Z-452049"],"keep":5,"forgotten":null,'
        b'"lives":[{"created":1,"table_id":"x","stream":"","complete":true}],"requests":{"sse":"aws:kms","kms_key":"x"}}'
    ),
]


def _parquet() -> bytes:
    """The smallest file of an exported state."""
    file = io.BytesIO()
    pq.write_table(pa.table({"key": ['{"id":{"S":"a"},"n":{"N":"1"}}'], "image": ['{"id":{"S":"a"},"n":{"N":"1"}}']}), file)
    return file.getvalue()


OF_FILES = [
    (
        b'{"plan":"backstream-revert","format":1,"id":"a","table":"t","arn":"a","table_id":"i","from":"x","to":"y","made":"z",'
        b'"proven_until":null,"merge":"attributes","on_conflict":"skip"}\n{"key":{"id":{"S":"a"},"n":{"N":"1"}},"action":"put",'
        b'"verdict":"write","after":{"id":{"S":"a"},"n":{"N":"1"}},"undoing":[{"before":null,"after":null}]}\n{"put":1}\n'
    ),
    b'{"Item":{"id":{"S":"a"},"n":{"N":"1"}}}\n{"id":{"s":"a"},"n":{"n":"1"}}\nid\x03{"s":"a"}\x02n\x03{"n":"1"}',
    b"id,n,b\na,1,YQ==\n",
    b'{Item:{id:"a",n:1.,b:{{YQ==}},s:$dynamodb_SS::["x"],l:[null,true],m:{a:"b"}}}',
    b'{"entries":[{"url":"s3://x/part-00000"}]}',
    b'{Record:{Metadata:{WriteTimestampMicros:1.},Keys:{id:"a"},NewImage:{id:"a"}}}',
    (
        b'{"format":1,"kind":"state","table":"flights","table_arn":"","table_id":"","key_schema":{"hash":{"name":"id","type":"S"}},'
        b'"from":null,"to":"2026-01-01T00:00:00Z","rows":0,"columns":[],"damaged":[],"files":[]}'
    ),
    b'{"migration":"m","table":"t","script":"s","digest":"d","began":1}\n["i",0,{"id":{"S":"a"}},null,"x"]\n["t",0]\n["d",0]\n["e"]\n',
    b'111\n{"sequence":"111","key":{"id":{"S":"a"},"n":{"N":"1"}}}\n',
    b'{"id":"a","n":1}\n{"sequence":"111","key":{"id":{"S":"a"},"n":{"N":"1"}}}\n',
    _parquet(),
]


@st.composite
def altered(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good document in which one value or stretch is another."""
    seed = draw(st.sampled_from(seeds))
    begin = draw(st.integers(0, len(seed)))
    end = draw(st.integers(begin, min(len(seed), begin + 12)))
    return seed[:begin] + draw(st.sampled_from(ODD) | st.binary(max_size=8)) + seed[end:]


@pytest.mark.parametrize("name", [each for each in TARGETS if each not in (*newer_records.TARGETS, *files.TARGETS)])
@given(data=altered(SEEDS) | st.binary(max_size=200))
def test_only_errors_of_ours(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("name", newer_records.TARGETS)
@given(data=altered(OF_RECORDS) | st.binary(max_size=200))
def test_only_errors_of_ours_come_of_records(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("name", files.TARGETS)
@given(data=altered(OF_FILES) | st.binary(max_size=200))
def test_only_errors_of_ours_come_of_files(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("number", range(len(OF_FILES)))
def test_each_seed_is_read_by_some_reader(number: int) -> None:
    """Otherwise its alterations reach no further than the first line of any."""
    assert any(_is_read(read, OF_FILES[number]) for read in files.TARGETS.values())


def _is_read(read: Target, data: bytes) -> bool:
    try:
        read(data)
    except BackstreamError:
        return False
    return True


@pytest.mark.soak
@pytest.mark.skipif(find_spec("atheris") is None, reason="`make fuzz` installs it")
def test_a_minute_of_fuzzing() -> None:
    command = [sys.executable, "-m", "fuzz", "--seconds", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]
