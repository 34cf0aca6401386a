#!/usr/bin/env bash
# ministack 1.5.33 answers ExportTableToPointInTime, and DescribeExport calls the export COMPLETED, with the number of items, a billed size
# and the key of a manifest, but nothing is written: the bucket stays empty. An export to a bucket that does not exist is COMPLETED, too.
set -euo pipefail
here=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'ministack==1.5.33' 'boto3==1.43.106'
port=$("$here/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$here"
env AUTH=false BIND_HOST=127.0.0.1 DOCKER_HOST=unix:///nonexistent GATEWAY_PORT="$port" IOT_MTLS_ENABLED=0 LOG_LEVEL=ERROR PERSIST_STATE=0 \
  S3_PERSIST=0 SFTP_ENABLED=0 USE_SSL=0 "$here/venv/bin/ministack" >"$here/log" 2>&1 &
server=$!
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - "$port" <<'PY'
import socket, sys, time
import boto3
from botocore.config import Config

for _ in range(600):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
url = f"http://127.0.0.1:{sys.argv[1]}"
dynamodb = boto3.client("dynamodb", endpoint_url=url)
s3 = boto3.client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))
arn = dynamodb.create_table(
    TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
)["TableDescription"]["TableArn"]
dynamodb.get_waiter("table_exists").wait(TableName="orders")
enabled = {"PointInTimeRecoveryEnabled": True}
dynamodb.update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=enabled)
for name in "abc":
    dynamodb.put_item(TableName="orders", Item={"id": {"S": name}})
s3.create_bucket(Bucket="exports")
seen = []
for bucket in ("exports", "no-such-bucket"):
    export = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket)["ExportDescription"]["ExportArn"]
    for _ in range(300):
        told = dynamodb.describe_export(ExportArn=export)["ExportDescription"]
        if told["ExportStatus"] != "IN_PROGRESS":
            break
        time.sleep(0.1)
    seen.append((told["ExportStatus"], told.get("ItemCount"), told.get("ExportManifest", "").endswith("manifest-summary.json")))
    print(f"export to {bucket}: {told['ExportStatus']}, {told.get('ItemCount')} items, manifest {told.get('ExportManifest')}")
objects = s3.list_objects_v2(Bucket="exports")["KeyCount"]
print("objects in the bucket:", objects)
sys.exit((seen, objects) != ([("COMPLETED", 3, True)] * 2, 0))
PY
