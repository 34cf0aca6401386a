#!/usr/bin/env bash
# s3rver 3.7.1 lists keys in the order of a walk through folders, but reads a Marker in the order of S3, by bytes. ListObjects page by page
# therefore returns some keys twice and others never, where a key goes on with "/" and another with a byte before it, like "-" or ".".
# All keys are in the answer when they fit in one page.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'boto3==1.44.8'
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$here" s3rver@3.7.1 >/dev/null
cd "$here"
cat >list.py <<'PY'
import sys
import boto3
from botocore.config import Config

config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", config=config)
keys = ["day=1-old/a", "day=1.json", "day=1/a", "day=1/b", "day=2/a"]
for key in keys:
    s3.put_object(Bucket="vault", Key=key, Body=b"")

def pages(size):
    found, marker = [], ""
    while True:
        page = s3.list_objects(Bucket="vault", MaxKeys=size, Marker=marker)
        found += [each["Key"] for each in page.get("Contents", [])]
        if not page["IsTruncated"]:
            return found
        marker = page.get("NextMarker") or found[-1]

seen = {size: pages(size) for size in (1000, 3, 2)}
for size, found in seen.items():
    print(f"pages of {size}: {found}; never: {sorted(set(keys) - set(found))}")
whole = ["day=1/a", "day=1/b", "day=1-old/a", "day=1.json", "day=2/a"]
print("twice in pages of 3:", sorted({key for key in seen[3] if seen[3].count(key) > 1}))
sys.exit(seen[1000] != whole or seen[2] != ["day=1/a", "day=1/b", "day=2/a"] or len(seen[3]) <= len(set(seen[3])))
PY
export AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER AWS_DEFAULT_REGION=us-east-1
mkdir data
node - "$here/venv/bin/python" <<'JS'
const { spawn } = require("node:child_process");
const S3rver = require("s3rver");
const server = new S3rver({ address: "127.0.0.1", port: 0, silent: true, directory: "data", configureBuckets: [{ name: "vault" }] });
server.run().then((address) => {
  const child = spawn(process.argv[2], ["list.py", String(address.port)], { stdio: "inherit" });
  child.on("exit", (code) => process.exit(code === null ? 1 : code));
});
JS
