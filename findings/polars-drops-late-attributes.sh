#!/usr/bin/env bash
# polars 2.1.0 takes the schema of NDJSON from the first 100 lines. An attribute that first appears later is not in the frame, and nothing
# is said. With infer_schema_length=None it looks at all lines.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'polars==2.1.0'
"$here/venv/bin/python" - "$here" <<'PY'
import json, sys
import polars

path = f"{sys.argv[1]}/lines.ndjson"
with open(path, "w") as file:
    file.writelines(json.dumps({"Item": {"id": {"S": str(number)}}}) + "\n" for number in range(2_000))
    file.write(json.dumps({"Item": {"id": {"S": "x"}, "late": {"S": "here"}}}) + "\n")

def fields(**how):
    return [field.name for field in polars.read_ndjson(path, **how).schema["Item"].fields]

found, whole = fields(), fields(infer_schema_length=None)
print("attributes by default:", found, "- with infer_schema_length=None:", whole)
sys.exit(found != ["id"] or whole != ["id", "late"])
PY
