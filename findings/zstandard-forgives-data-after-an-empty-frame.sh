#!/usr/bin/env bash
# zstandard 0.25.0: decompress(..., allow_extra_data=False) refuses bytes that follow the first frame, but not where that frame says that its
# content has 0 bytes: it then returns b"" at once and looks no further. A file of frames that begins with an empty one decompresses to
# nothing, without an error.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'zstandard==0.25.0'
"$here/venv/bin/python" - <<'PY'
import sys
import zstandard

sized = zstandard.ZstdCompressor().compress
row = b'{"n":0}\n'
seen = {}
for name, first in {"a row": sized(row), "empty": sized(b"")}.items():
    try:
        seen[name] = zstandard.ZstdDecompressor().decompress(first + sized(row), allow_extra_data=False)
    except zstandard.ZstdError as error:
        seen[name] = "refused" if "unused data" in str(error) else str(error)
    print(f"first frame {name}, then a frame with a row: {seen[name]!r}")
sys.exit(seen != {"a row": "refused", "empty": b""})
PY
