#!/usr/bin/env bash
# ministack 1.5.33 answers ListObjectVersions with names as they are, although it is asked to encode them (encoding-type=url, which S3 has for
# this: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html). One name with a control character makes the
# answer no XML. ListObjectsV2 encodes it.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'ministack==1.5.33'
HOME="$here" AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - "$here" <<'PY'
import os
import socket
import subprocess
import sys
import time
import urllib.request
from xml.parsers import expat

import botocore.session
from botocore.config import Config

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "ministack"], cwd=sys.argv[1],
    env={**os.environ, "GATEWAY_PORT": str(port), "SERVICES": "s3"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    s3 = botocore.session.get_session().create_client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="names")
    s3.put_bucket_versioning(Bucket="names", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="names", Key="bell\x07", Body=b"")
    found = {}
    for what in ("list-type=2", "versions"):
        body = urllib.request.urlopen(f"{url}/names?{what}&encoding-type=url").read()
        try:
            expat.ParserCreate().Parse(body, True)
            found[what] = b"bell%07" in body
        except expat.ExpatError as error:
            found[what] = str(error).partition(":")[0]
    print("names encoded:", found)
finally:
    server.terminate()
    server.wait()
sys.exit(found != {"list-type=2": True, "versions": "not well-formed (invalid token)"})
PY
