#!/usr/bin/env bash
# moto 5.2.5 answers ExportTableToPointInTime for all formats and both kinds, but writes one thing: each item as {"Item": ...} in DynamoDB
# JSON. An "incremental" export has no Keys and no Metadata and ignores its window; an "Ion" export is JSON; there is no manifest.
# S3Prefix, which is optional at AWS, must be given: without it the server fails with a KeyError.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'moto[dynamodb,s3]==5.2.5' 'boto3==1.44.8'
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - <<'PY'
import gzip, sys, time
import boto3
from moto import mock_aws

kinds = {
    "full": {},
    "ion": {"ExportFormat": "ION"},
    "incremental, a window before the item": {
        "ExportType": "INCREMENTAL_EXPORT",
        "IncrementalExportSpecification": {"ExportFromTime": time.time() - 7200, "ExportToTime": time.time() - 3600},
    },
}
with mock_aws():
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    arn = dynamodb.create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )["TableDescription"]["TableArn"]
    enabled = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=enabled)
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "a"}, "n": {"N": "1"}})
    seen = {}
    for number, (kind, words) in enumerate(kinds.items()):
        bucket = f"exports-{number}"
        s3.create_bucket(Bucket=bucket)
        export = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket, S3Prefix="p", **words)["ExportDescription"]["ExportArn"]
        for _ in range(100):
            status = dynamodb.describe_export(ExportArn=export)["ExportDescription"]["ExportStatus"]
            if status != "IN_PROGRESS":
                break
            time.sleep(0.1)
        names = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        lines = gzip.decompress(s3.get_object(Bucket=bucket, Key=names[0])["Body"].read()).decode().splitlines()
        seen[kind] = (status, len(names), lines)
        print(kind, seen[kind])
line = '{"Item": {"id": {"S": "a"}, "n": {"N": "1"}}}'
sys.exit(any(found != ("COMPLETED", 1, [line]) for found in seen.values()))
PY
