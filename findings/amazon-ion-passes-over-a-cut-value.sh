#!/usr/bin/env bash
# amazon.ion 0.15.0 has two readers. The one in C, which is the default, ends without an error where text is cut after an annotation, and
# reads an empty text as None. The one in Python raises for both.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'amazon.ion==0.15.0'
"$here/venv/bin/python" - <<'PY'
import sys
from amazon.ion import simpleion
from amazon.ion.exceptions import IonException

def read(in_c, text, single):
    simpleion.c_ext = in_c
    try:
        return simpleion.loads(text, single_value=single)
    except IonException as error:
        return type(error).__name__

cases = [('{id:"a"} $dynamodb_SS::', False), ("", True)]
seen = [(read(True, *case), read(False, *case)) for case in cases]
for (text, _), (in_c, in_python) in zip(cases, seen):
    print(f"{text!r}: in C {in_c!r}, in Python {in_python!r}")
sys.exit(seen != [([{"id": "a"}], "IonException"), (None, "IonException")])
PY
