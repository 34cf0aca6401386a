#!/usr/bin/env bash
# pyiceberg 0.12.0: a column of Arrow's dictionary type is appended without an error, to a string column that has plain strings already. From
# then on no scan of the table to Arrow succeeds: the two files' columns cannot be merged.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'pyiceberg[sql-sqlite]==0.12.0' 'pyarrow==26.0.1'
"$here/venv/bin/python" - "$here" <<'PY'
import logging
import sys

import pyarrow as pa
from pyiceberg.catalog import load_catalog

here = sys.argv[1]
logging.disable()
catalog = load_catalog("c", type="sql", uri=f"sqlite:///{here}/c.db", warehouse=f"file://{here}/warehouse")
catalog.create_namespace("n")
plain = pa.table({"event": ["INSERT", "REMOVE"]})
table = catalog.create_table("n.t", plain.schema)
table.append(plain)
table.append(pa.table({"event": plain["event"].dictionary_encode()}))
try:
    seen = f"{len(table.scan().to_arrow())} rows"
except Exception as error:
    seen = f"{type(error).__name__}: {str(error).splitlines()[0]}"
print(f"plain strings, then a dictionary of them, both appended; the scan: {seen}")
sys.exit("incompatible types: dictionary" not in seen)
PY
