#!/usr/bin/env bash
# indexed_zstd 1.7.2 takes a frame without content for the end of the file. A writer that closes a frame in which nothing was written makes
# one; the zstd format allows it. What follows it is not read, and a file that begins with it is empty, without an error. A skippable frame
# does no harm.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'indexed_zstd==1.7.2' 'zstandard==0.25.0'
cd "$here"
"$here/venv/bin/python" - <<'PY'
import struct, sys
import zstandard
from indexed_zstd import IndexedZstdFile

zstd = zstandard.ZstdCompressor().compress
one, two, empty, note = zstd(b'{"n":0}\n'), zstd(b'{"n":1}\n'), zstd(b""), struct.pack("<II", 0x184D2A50, 4) + b"note"
seen = {}
for name, pieces in {
    "none": (one, two), "a skippable frame between": (one, note, two), "empty at the end": (one, two, empty),
    "empty between": (one, empty, two), "empty at the beginning": (empty, one, two),
}.items():
    with open("rows.zst", "wb") as file:
        file.write(b"".join(pieces))
    whole = zstandard.ZstdDecompressor().stream_reader(b"".join(pieces), read_across_frames=True).read()
    seen[name] = IndexedZstdFile("rows.zst").read() == whole or IndexedZstdFile("rows.zst").read().decode().splitlines()
    print(f"{name}: {'whole' if seen[name] is True else seen[name]}")
whole = dict.fromkeys(("none", "a skippable frame between", "empty at the end"), True)
sys.exit(seen != {**whole, "empty between": ['{"n":0}'], "empty at the beginning": []})
PY
