#!/usr/bin/env bash
# moto 5.2.5 keeps an object whose body differs from the SHA-256 or the Content-MD5 that its PUT states, and answers 200. S3 refuses both
# with BadDigest (AWS's guide, "Checking object integrity for data uploads").
set -euo pipefail
here=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'moto[server,s3]==5.2.5' 'boto3==1.44.8'
port=$("$here/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$here/venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$here/log" 2>&1 &
server=$!
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - "$port" <<'PY'
import base64
import hashlib
import sys
import time
import urllib.request

import boto3

url = f"http://127.0.0.1:{sys.argv[1]}"
for _ in range(100):
    try:
        urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
        break
    except OSError:
        time.sleep(0.2)
s3 = boto3.client("s3", endpoint_url=url)
s3.create_bucket(Bucket="backups")


def digest(kind: str, body: bytes) -> str:
    return base64.b64encode(hashlib.new(kind, body).digest()).decode()


sent = digest("sha256", b"the rows as they were read")
s3.put_object(Bucket="backups", Key="sha", Body=b"the rows as they came", ChecksumSHA256=sent)
s3.put_object(Bucket="backups", Key="md5", Body=b"the rows as they came", ContentMD5=digest("md5", b"the rows as they were read"))
kept = [s3.get_object(Bucket="backups", Key=key)["Body"].read() for key in ("sha", "md5")]
told = s3.head_object(Bucket="backups", Key="sha", ChecksumMode="ENABLED").get("ChecksumSHA256")
print("kept with another SHA-256, and with another MD5:", kept, "the SHA-256 that is told:", told)
sys.exit(kept != [b"the rows as they came"] * 2)
PY
