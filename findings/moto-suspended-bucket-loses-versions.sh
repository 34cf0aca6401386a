#!/usr/bin/env bash
# moto 5.2.5: a bucket's versions end when its versioning is suspended and the key is written again. In S3 such a put makes or replaces the
# version "null" and leaves all others; a delete puts a marker "null" on top. In moto the put drops every version of the key, and the delete
# drops the key without a marker. Keys that nobody touches meanwhile keep their versions.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'moto[s3]==5.2.5' 'boto3==1.44.8'
AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 "$here/venv/bin/python" - <<'PY'
import sys
import boto3
from moto import mock_aws

with mock_aws():
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="vault")

    def versioning(status):
        s3.put_bucket_versioning(Bucket="vault", VersioningConfiguration={"Status": status})

    def bodies(key):
        versions = s3.list_object_versions(Bucket="vault", Prefix=key).get("Versions", [])
        return [s3.get_object(Bucket="vault", Key=key, VersionId=each["VersionId"])["Body"].read().decode() for each in versions]

    versioning("Enabled")
    for key in ("put", "deleted", "untouched"):
        for body in ("one", "two", "three"):
            s3.put_object(Bucket="vault", Key=key, Body=body)
    before = {key: bodies(key) for key in ("put", "deleted", "untouched")}
    versioning("Suspended")
    s3.put_object(Bucket="vault", Key="put", Body="four")
    s3.delete_object(Bucket="vault", Key="deleted")
    after = {key: bodies(key) for key in ("put", "deleted", "untouched")}
    markers = s3.list_object_versions(Bucket="vault").get("DeleteMarkers", [])
    versioning("Enabled")
    again = bodies("put")
print("versions before:", before)
print("versions after one put and one delete in the suspended bucket:", after, "delete markers:", markers)
print("after it is enabled again:", again)
three = ["three", "two", "one"]
sys.exit(
    before != {"put": three, "deleted": three, "untouched": three}
    or after != {"put": ["four"], "deleted": [], "untouched": three}
    or (markers, again) != ([], ["four"])
)
PY
