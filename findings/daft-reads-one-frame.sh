#!/usr/bin/env bash
# daft 0.7.26 returns the rows of the first zstd frame (and of the first bzip2 stream) of a file and drops the others without an error.
# The same rows in a gzip file of two members come back whole. A zstd file may hold any number of frames (RFC 8878, section 3).
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'daft==0.7.26' 'zstandard==0.25.0'
cd "$here"
DAFT_PROGRESS_BAR=0 "$here/venv/bin/python" - <<'PY'
import bz2, gzip, sys
import daft, zstandard

one, two = b'{"n":0}\n{"n":1}\n', b'{"n":2}\n{"n":3}\n'
zstd = zstandard.ZstdCompressor().compress
seen = {}
for suffix, compress in (("gz", gzip.compress), ("bz2", bz2.compress), ("zst", zstd)):
    with open(f"rows.json.{suffix}", "wb") as file:
        file.write(compress(one) + compress(two))
    seen[suffix] = daft.read_json(f"rows.json.{suffix}").to_pydict()["n"]
print("rows of two compressed pieces, 0 to 3:", seen)
sys.exit(seen != {"gz": [0, 1, 2, 3], "bz2": [0, 1], "zst": [0, 1]})
PY
