#!/usr/bin/env bash
# polars 2.1.0 tells zstd by the first four bytes of a frame with data. A file that begins with a skippable frame, which the zstd format
# allows (RFC 8878, section 3.1.2), is taken for plain text and refused. The same frame between or behind the others does no harm.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'polars==2.1.0' 'zstandard==0.25.0'
cd "$here"
"$here/venv/bin/python" - <<'PY'
import struct, sys
import polars, zstandard

zstd = zstandard.ZstdCompressor().compress
one, two, note = zstd(b'{"n":0}\n'), zstd(b'{"n":1}\n'), struct.pack("<II", 0x184D2A50, 4) + b"note"
seen = {}
for name, pieces in {"first": (note, one, two), "middle": (one, note, two), "last": (one, two, note)}.items():
    with open("rows.ndjson.zst", "wb") as file:
        file.write(b"".join(pieces))
    try:
        seen[name] = polars.read_ndjson("rows.ndjson.zst")["n"].to_list()
    except polars.exceptions.ComputeError as error:
        seen[name] = "UTF-8" in str(error) and "not UTF-8"
print("where the skippable frame stands, and the rows:", seen)
sys.exit(seen != {"first": "not UTF-8", "middle": [0, 1], "last": [0, 1]})
PY
