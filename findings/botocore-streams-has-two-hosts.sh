#!/usr/bin/env bash
# botocore 1.44.8 sends one client's calls of DynamoDB Streams to two hosts. ListStreams goes to streams.dynamodb.REGION.amazonaws.com. A call
# that names a stream's ARN goes to ACCOUNT.streams-ddb.REGION.amazonaws.com: the account is read from the ARN, whatever the credentials
# say. account_id_endpoint_mode=disabled keeps all of them on the first host. No request leaves the machine here.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'botocore==1.44.8'
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - <<'PY'
import sys
from urllib.parse import urlsplit
import botocore.session
from botocore.config import Config

class Stop(Exception):
    pass

def hosts(**config):
    client, seen = botocore.session.Session().create_client("dynamodbstreams", config=Config(**config)), []

    def note(request, **_):
        seen.append(urlsplit(request.url).hostname)
        raise Stop

    client.meta.events.register("before-send.*.*", note)
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
    for call, words in ((client.list_streams, {"TableName": "orders"}), (client.describe_stream, {"StreamArn": arn})):
        try:
            call(**words)
        except Stop:
            pass
    return seen

usual, disabled = hosts(), hosts(account_id_endpoint_mode="disabled")
print("ListStreams, DescribeStream:", usual)
print("the same, account_id_endpoint_mode=disabled:", disabled)
old, new = "streams.dynamodb.us-east-1.amazonaws.com", "123456789012.streams-ddb.us-east-1.amazonaws.com"
sys.exit((usual, disabled) != ([old, new], [old, old]))
PY
