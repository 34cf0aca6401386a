"""Documents that readers read: a fuzzer begins from them, since most bytes are nothing at all."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz import files, newer_records

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


def of(name: str) -> list[bytes]:
    """Those for one reader."""
    return OF_FILES if name in files.TARGETS else OF_RECORDS if name in newer_records.TARGETS else SEEDS
