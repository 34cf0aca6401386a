#!/usr/bin/env bash
# moto 5.2.5 leaves a stream record for a write that changes nothing. DynamoDB leaves none (AWS's developer guide, "Change data capture for
# DynamoDB Streams"). Its ApproximateCreationDateTime has parts of a second, where DynamoDB's is rounded to seconds.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'moto[dynamodb]==5.2.5' 'boto3==1.44.8'
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - <<'PY'
import sys
import boto3
from moto import mock_aws

with mock_aws():
    dynamodb = boto3.client("dynamodb")
    streams = boto3.client("dynamodbstreams", endpoint_url="https://streams.dynamodb.us-east-1.amazonaws.com")
    arn = dynamodb.create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]
    for _ in range(2):
        dynamodb.put_item(TableName="orders", Item={"id": {"S": "a"}, "n": {"N": "1"}})
    dynamodb.delete_item(TableName="orders", Key={"id": {"S": "never there"}})
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = [each["dynamodb"] | {"event": each["eventName"]} for each in streams.get_records(ShardIterator=start)["Records"]]
events = [each["event"] for each in records]
same = [each.get("OldImage") == each["NewImage"] for each in records]
parts = any(each["ApproximateCreationDateTime"].microsecond for each in records)
print("records of two equal puts:", events, "old image equals new:", same, "parts of a second:", parts)
sys.exit((events, same, parts) != (["INSERT", "MODIFY"], [False, True], True))
PY
