#!/usr/bin/env bash
# moto 5.2.5 and ministack 1.5.33 add numbers in UpdateItem with the 28 digits that Python's decimal has by default. DynamoDB's numbers have
# 38. ministack rounds any sum, so an account of 38 digits plus 1 loses ten digits at its end; moto adds whole numbers exactly and rounds
# fractions. Both keep all 38 digits of what is put, and neither says anything.
set -euo pipefail
here=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$here"' EXIT
python3 -m venv "$here/one"
"$here/one/bin/pip" install --quiet 'moto[dynamodb]==5.2.5' 'boto3==1.44.8'
python3 -m venv "$here/two"
"$here/two/bin/pip" install --quiet 'ministack==1.5.33' 'boto3==1.43.106'
cat >"$here/sums.py" <<'PY'
import contextlib, json, socket, sys, time
import boto3

def sums(dynamodb):
    dynamodb.create_table(
        TableName="accounts", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    dynamodb.get_waiter("table_exists").wait(TableName="accounts")
    key, found = {"id": {"S": "a"}}, []
    for before in ("12345678901234567890123456789012345678", "0.1234567890123456789012345678901234567"):
        dynamodb.put_item(TableName="accounts", Item={**key, "n": {"N": before}})
        kept = dynamodb.get_item(TableName="accounts", Key=key)["Item"]["n"]["N"] == before
        words = {"UpdateExpression": "SET n = n + :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
        after = dynamodb.update_item(TableName="accounts", Key=key, ReturnValues="ALL_NEW", **words)["Attributes"]["n"]["N"]
        print(f"{sys.argv[1]}: {before} (kept as put: {kept}) + 1 = {after}")
        found.append((kept, after))
    return found

if sys.argv[1] == "moto":
    from moto import mock_aws

    server, url = mock_aws(), None
else:
    server, url = contextlib.nullcontext(), f"http://127.0.0.1:{sys.argv[2]}"
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[2]))).close()
            break
        except OSError:
            time.sleep(0.1)
with server:
    found = sums(boto3.client("dynamodb", endpoint_url=url))
fraction = (True, "1.123456789012345678901234568")
whole = {"moto": "12345678901234567890123456789012345679", "ministack": "12345678901234567890123456790000000000"}
sys.exit(found != [(True, whole[sys.argv[1]]), fraction])
PY
export AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1
"$here/one/bin/python" "$here/sums.py" moto
port=$("$here/two/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$here"
env AUTH=false BIND_HOST=127.0.0.1 DOCKER_HOST=unix:///nonexistent GATEWAY_PORT="$port" IOT_MTLS_ENABLED=0 LOG_LEVEL=ERROR PERSIST_STATE=0 \
  S3_PERSIST=0 SFTP_ENABLED=0 USE_SSL=0 "$here/two/bin/ministack" >"$here/log" 2>&1 &
server=$!
"$here/two/bin/python" "$here/sums.py" ministack "$port"
