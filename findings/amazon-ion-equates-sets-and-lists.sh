#!/usr/bin/env bash
# amazon.ion 0.15.0 compares values as Python's own types: annotations do not count, and of a field that comes twice only the last. So a
# set of strings in DynamoDB's export equals a list, and a struct equals another one that has a field less.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'amazon.ion==0.15.0'
"$here/venv/bin/python" - <<'PY'
import sys
from amazon.ion import simpleion

pairs = [('$dynamodb_SS::["a"]', '["a"]'), ("{a:1.,a:2.}", "{a:2.}")]
seen = [simpleion.loads(one) == simpleion.loads(other) for one, other in pairs]
for (one, other), equal in zip(pairs, seen):
    print(f"{one} == {other}: {equal}")
sys.exit(seen != [True, True])
PY
