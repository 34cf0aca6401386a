#!/usr/bin/env bash
# pyiceberg 0.12.0: Table.append of a pyarrow.RecordBatchReader is documented as bounded by write.target-file-size-bytes. The groups of batches
# are handed to a thread pool's map, which takes all of them before the first file is awaited: a source that is quicker than the writers
# is held in memory as a whole.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'pyiceberg[sql-sqlite]==0.12.0' 'pyarrow==26.0.1'
PYICEBERG_MAX_WORKERS=1 "$here/venv/bin/python" - "$here" <<'PY'
import sys
import threading

import pyarrow as pa
import pyiceberg.io.pyarrow as files
from pyiceberg.catalog import load_catalog

here = sys.argv[1]
catalog = load_catalog("c", type="sql", uri=f"sqlite:///{here}/c.db", warehouse=f"file://{here}/warehouse")
catalog.create_namespace("n")
schema = pa.schema([("text", pa.string())])
table = catalog.create_table("n.t", schema, properties={"write.target-file-size-bytes": "100000"})
taken, taken_at_first_file, everything = 0, [], threading.Event()


def batches():
    global taken
    for number in range(40):
        taken += 1
        yield pa.record_batch([[f"{number}" + "x" * 200_000]], schema=schema)
    everything.set()


new_output = files.PyArrowFileIO.new_output


def slow(self, location):
    if location.endswith(".parquet") and not taken_at_first_file:
        everything.wait(20)  # a slow upload of the first file: a bounded stream would wait for it, and this would time out
        taken_at_first_file.append(taken)
    return new_output(self, location)


files.PyArrowFileIO.new_output = slow
table.append(pa.RecordBatchReader.from_batches(schema, batches()))
print(f"{taken_at_first_file[0]} of 40 batches, each larger than a file is to be, were taken before the first file was written")
sys.exit(taken_at_first_file != [40])
PY
