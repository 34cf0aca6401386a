#!/usr/bin/env bash
# dynamodb-json 1.4.2 looks for DynamoDB's type letters in every JSON object, an item's own attributes included. An item with an attribute
# named like a type becomes the value of that attribute: the other attributes are gone and nothing is said. Numbers with an exponent stay
# undecoded, long fractions lose digits, and a set of numbers comes back as a set of strings.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'dynamodb-json==1.4.2'
"$here/venv/bin/python" - <<'PY'
import sys
from dynamodb_json import json_util

def attribute(name):
    return json_util.loads('{"id":{"S":"order-1"},"total":{"N":"5"},"%s":{"S":"no"}}' % name)

def number(text):
    return json_util.loads('{"n":{"N":"%s"}}' % text)["n"]

seen = {name: attribute(name) for name in ("S", "B", "M", "SS", "N", "L2")}
for name, value in seen.items():
    print(f"an item with id, total and an attribute {name}: {value!r}")
whole = {"id": "order-1", "total": 5}
numbers = [number("1E+100"), number("0.1234567890123456789012345678901234567"), json_util.loads('{"n":{"NS":["1"]}}')["n"]]
print("numbers:", numbers)
sys.exit(
    seen != {"S": "no", "B": "no", "M": "no", "SS": ["n", "o"], "N": {**whole, "N": "no"}, "L2": {**whole, "L2": "no"}}
    or numbers != [{"N": "1E+100"}, 0.12345678901234568, {"1"}]
)
PY
