#!/usr/bin/env bash
# DuckDB 2.0.1 guesses types of JSON text. Keys that look like times or UUIDs become those types: two different keys are one then. An
# attribute that comes after the sample (20,480 objects) is not there. Names that differ in case alone cannot be read. With every column
# declared as JSON, or each line as one text, nothing of this happens.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'duckdb==2.0.1' pytz
"$here/venv/bin/python" - "$here" <<'PY'
import json, sys
import duckdb

def keys(*texts):
    path = f"{sys.argv[1]}/lines.ndjson"
    with open(path, "w") as file:
        file.writelines(json.dumps({"Keys": {"id": {"S": text}}}) + "\n" for text in texts)
    guessed = duckdb.sql(f"SELECT count(DISTINCT Keys.id.S) FROM read_json('{path}')").fetchall()[0][0]
    how = "format = 'newline_delimited', columns = {Keys: 'JSON'}"
    told = duckdb.sql(f"SELECT count(DISTINCT Keys ->> '$.id.S') FROM read_json('{path}', {how})").fetchall()[0][0]
    print(f"{texts}: {guessed} key(s) guessed, {told} with columns declared")
    return guessed, told

def refused(*lines):
    path = f"{sys.argv[1]}/lines.ndjson"
    with open(path, "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    try:
        found = duckdb.sql(f"SELECT Item.late FROM read_json('{path}') WHERE Item.late IS NOT NULL").fetchall()
    except duckdb.Error as error:
        found = str(error).splitlines()[0]
    print(found)
    return found

seen = [
    keys("2026-11-23T04:15:00Z", "2026-11-23T05:15:00+01:00"),
    keys("6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
]
early = [{"Item": {"id": {"S": str(number)}}} for number in range(30_000)]
late = refused(*early, {"Item": {"id": {"S": "x"}, "late": {"S": "here"}}})
twins = refused({"Item": {"id": {"S": "1"}, "late": {"S": "a"}, "Late": {"S": "b"}}})
sys.exit(seen != [(1, 2), (1, 2)] or "Could not find key" not in late or "Duplicate name" not in twins)
PY
