#!/usr/bin/env bash
# zstd 1.5.7.2 (the package of that name on PyPI) returns only the first frame of several, without an error, when the frames do not say how
# long their content is. Those are the frames that every writer makes that does not know the length beforehand: a stream, a pipe. The same
# frames with a content size come back whole, so a test with small pieces that were compressed in one call does not show it.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'zstd==1.5.7.2' 'zstandard==0.25.0'
"$here/venv/bin/python" - <<'PY'
import io, sys
import zstandard
import zstd

pieces = [b'{"n":0}\n{"n":1}\n', b'{"n":2}\n{"n":3}\n']

def streamed(piece):
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(piece)
    return out.getvalue()

files = {
    "with a content size": b"".join(map(zstandard.ZstdCompressor().compress, pieces)),
    "streamed": b"".join(map(streamed, pieces)),
}
seen = {name: zstd.decompress(file).decode().splitlines() for name, file in files.items()}
other = zstandard.ZstdDecompressor().stream_reader(files["streamed"], read_across_frames=True).read().decode().splitlines()
for name, lines in seen.items():
    print(f"two frames, {name}: {lines}")
print("the streamed ones by zstandard:", other)
rows = b"".join(pieces).decode().splitlines()
sys.exit((seen, other) != ({"with a content size": rows, "streamed": rows[:2]}, rows))
PY
