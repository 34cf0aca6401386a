#!/usr/bin/env bash
# dictdiffer 0.10.0 compares whole numbers as floats. Two ids of 64 bits that differ in the last digits are "no change", whatever tolerance
# is given (0 too), and a patch made from that diff leaves the old id in place. True and 1 are no change either. The same ids as Decimal,
# as boto3 reads them, are told apart.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'dictdiffer==0.10.0'
"$here/venv/bin/python" - <<'PY'
import sys
from decimal import Decimal
from dictdiffer import diff, patch

pairs = {
    "ids": (1541815603606036480, 1541815603606036481),
    "ids as Decimal": (Decimal(1541815603606036480), Decimal(1541815603606036481)),
    "cents": (100, 101),
    "a flag": (True, 1),
}
seen = {}
for name, (before, after) in pairs.items():
    old, new = {"value": before}, {"value": after}
    changes = list(diff(old, new))
    seen[name] = (len(changes), len(list(diff(old, new, tolerance=0))), patch(changes, old)["value"] == after)
    print(f"{name}, {before} and {after}: {seen[name][0]} changes, with tolerance 0 {seen[name][1]}, patched to the new value: {seen[name][2]}")
sys.exit(seen != {"ids": (0, 0, False), "ids as Decimal": (1, 1, True), "cents": (1, 1, True), "a flag": (0, 0, True)})
PY
