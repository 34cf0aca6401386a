#!/usr/bin/env bash
# ministack 1.5.33 reads a number key as text but writes it as a number. DynamoDB's numbers have one form: 1, 1.0 and 1.00 are one key.
# Here PutItem of the key 1.0 replaces the item 1, but GetItem, Query, DeleteItem and BatchGetItem with 1.0 find nothing, and UpdateItem with
# 1.0 makes a second item whose primary key is 1, too: Scan returns both.
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

for _ in range(600):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.1)
dynamodb = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}")
dynamodb.create_table(
    TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
)
dynamodb.get_waiter("table_exists").wait(TableName="orders")
key, values = {"id": {"N": "1.0"}}, {":id": {"N": "1.0"}}

def items():
    return [(each["id"]["N"], each["by"]["S"]) for each in dynamodb.scan(TableName="orders")["Items"]]

seen = {}
dynamodb.put_item(TableName="orders", Item={"id": {"N": "1"}, "by": {"S": "put of 1"}})
dynamodb.put_item(TableName="orders", Item={**key, "by": {"S": "put of 1.0"}})
seen["Scan after both puts"] = items()
seen["GetItem"] = dynamodb.get_item(TableName="orders", Key=key).get("Item")
seen["BatchGetItem"] = dynamodb.batch_get_item(RequestItems={"orders": {"Keys": [key]}})["Responses"]["orders"]
seen["Query"] = dynamodb.query(TableName="orders", KeyConditionExpression="id = :id", ExpressionAttributeValues=values)["Items"]
dynamodb.delete_item(TableName="orders", Key=key)
seen["Scan after DeleteItem"] = items()
by = {"UpdateExpression": "SET #by = :by", "ExpressionAttributeNames": {"#by": "by"}}
dynamodb.update_item(TableName="orders", Key=key, ExpressionAttributeValues={":by": {"S": "update of 1.0"}}, **by)
seen["Scan after UpdateItem"] = sorted(items())
for call, found in seen.items():
    print(f"{call}: {found}")
put = [("1", "put of 1.0")]
sys.exit(list(seen.values()) != [put, None, [], [], put, [*put, ("1", "update of 1.0")]])
PY
