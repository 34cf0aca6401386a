"""Objects that are small in the bucket and huge, or endless, for whoever reads them; and a process that reads them all, measured.

Run as a module: `python -m kit.bombs VAULT`, a folder; it prints for each bomb what a command said of it, and how long it took.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import zstandard

from backstream.apps.cli.main import call
from backstream.clock import SystemClock
from backstream.model import moment
from backstream.stores.directory import DirectoryStore
from backstream.vault.log.segments import Codec, Segment, SegmentKind

TABLE = "flights"
SYSTEM = f"_backstream/{TABLE}/"
GIGABYTE = 1 << 30
HISTORY = ("history", TABLE, '{"zone":"z","number":1}')
DEEP = b"[" * 100_000 + b"]" * 100_000
DIGITS = b"9" * 6_000
SET = "00000001-abcdefabcdef"
METADATA = {"format": "1"}
_MEGABYTE = 1 << 20
_FOOT = struct.Struct("<I4s")


class Bomb(msgspec.Struct, frozen=True):
    """One object too many, or in place of another; `words`: the command that comes upon it; `says`: part of what that says.

    `more`: what else it needs; `code`: the exit code; `spares`: whether the table's rows are restored all the same.
    """

    kind: str
    name: str
    body: bytes
    words: tuple[str, ...]
    says: str
    code: int = 1
    more: Mapping[str, bytes] = {}
    spares: bool = False


class Tried(msgspec.Struct, frozen=True):
    """What came of one."""

    kind: str
    code: int
    err: str
    rows: int
    seconds: float


class Report(msgspec.Struct, frozen=True):
    """What came of all of them; `peak`: of the process, in bytes."""

    tried: list[Tried]
    peak: int


# --- what they are made of -------------------------------------------------------------------------------------------------------


def zstd_of(piece: bytes, size: int) -> bytes:
    """The piece again and again, until it is so large; the frame does not say how large."""
    compressor, found = zstandard.ZstdCompressor(level=3).compressobj(), io.BytesIO()
    many = piece * max(1, _MEGABYTE // len(piece))
    for _ in range(size // len(many)):
        found.write(compressor.compress(many))
    return found.getvalue() + compressor.flush()


def declared(piece: bytes, size: int) -> bytes:
    """The same in one frame that declares its size."""
    many = piece * (size // len(piece))
    return zstandard.ZstdCompressor(level=3).compress(many)


def gzip_of(piece: bytes, size: int) -> bytes:
    """The same in gzip's format, in one member. A megabyte is compressed once: flushed in full, its block may be repeated."""
    many, times = piece * max(1, _MEGABYTE // len(piece)), size // max(len(piece), _MEGABYTE // len(piece) * len(piece))
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = compressor.compress(many) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(times):
        checksum = zlib.crc32(many, checksum)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + block * times + compressor.flush() + struct.pack("<II", checksum, len(many) * times & 0xFFFFFFFF)


def line(*, sequence: bytes = b"7", image: bytes = b'{"id":{"S":"a"}}', micros: bytes = b"1", more: bytes = b"") -> bytes:
    """A line of the log."""
    position = b'"Stream":{"S":"2026"},"SequenceNumber":{"S":"%s"}' % sequence
    metadata = b'{"WriteTimestampMicros":{"N":"%s"},%s,"EventName":{"S":"INSERT"}%s}' % (micros, position, more)
    return b'{"Metadata":%s,"Keys":{"id":{"S":"a"}},"NewImage":%s}\n' % (metadata, image)


def segment(at: int, codec: Codec = Codec.ZSTD, count: int = 5) -> str:
    """The name of a function's segment."""
    found = Segment("2026-11-01T00:00:00.000", f"{SegmentKind.LAMBDA}.0123456789ab", "7", "7", count, at, at, codec)
    return f"{SYSTEM}log/{found.path}"


def index_of(text: bytes) -> bytes:
    """An object of frames that holds nothing but this index."""
    return struct.pack("<II", 0x184D2A5B, len(text) + _FOOT.size) + text + _FOOT.pack(len(text), b"BKS1")


def generation(**fields: object) -> bytes:
    """A record of what is compacted: one set of one object."""
    one = {"id": SET, "partitions": 1, "lines": 3, "size": 10, "since": 1, "until": 2_000_000_000, "bases": []}
    return msgspec.json.encode({"format": 1, "number": 1, "sets": [{**one, **fields}], "kept": [], "unsettled": [SET]})


# --- all of them -----------------------------------------------------------------------------------------------------------------


def bombs(at: int, whole: Mapping[str, bytes]) -> Iterator[Bomb]:
    """`at`: a second of the vault; `whole`: its objects."""
    yield from _of_segments(at)
    yield from _of_sets()
    yield from _of_bases(at)
    yield from _of_records(at, whole)
    yield from _of_newer_records(at, whole)


def _of_segments(at: int) -> Iterator[Bomb]:
    restore = ("restore", TABLE, "--at", str(at), "--allow-gap", "--to-file")
    named = "lambda.0123456789ab"

    def bomb(kind: str, body: bytes, codec: Codec = Codec.ZSTD, count: int = 5) -> Iterator[Bomb]:
        yield Bomb(f"segment: {kind}", segment(at, codec, count), body, restore, named, spares=True)
        yield Bomb(f"segment, by key: {kind}", segment(at, codec, count), body, HISTORY, named, code=4)

    yield from bomb("a line of a gigabyte", zstd_of(b"a", GIGABYTE))
    yield from bomb("a line of a gigabyte, gzip", gzip_of(b"a", GIGABYTE), Codec.GZIP)
    yield from bomb("line breaks alone", zstd_of(b"\n", GIGABYTE), count=10**9)
    yield from bomb("true lines without end", zstd_of(line(), GIGABYTE))
    yield from bomb("true lines, and so many are said", zstd_of(line(), GIGABYTE), count=10**9)
    yield from bomb("nested", Codec.ZSTD.compress(line(image=b'{"id":{"S":"a"},"l":%s}' % DEEP) * 5))
    yield from bomb("nested where nobody looks", Codec.ZSTD.compress(line(more=b',"x":%s' % DEEP) * 5))
    yield from bomb("a number of many digits", Codec.ZSTD.compress(line(sequence=DIGITS) * 5))
    yield from bomb("a time of many digits", Codec.ZSTD.compress(line(micros=DIGITS) * 5))
    yield from bomb("the year 300,000", Codec.ZSTD.compress(line(micros=b"9" * 18) * 5))
    yield from bomb("a window of two gigabytes", b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00" * 3)
    yield from bomb("larger than any", b"\0" * (65 * _MEGABYTE))


def _of_sets() -> Iterator[Bomb]:
    part, status = f"{SYSTEM}compacted/{SET}/00000-of-00001.ndjson.zst", ("status", TABLE)
    generations = f"{SYSTEM}compacted/generations/00000001.json"
    sources = f"{SYSTEM}compacted/{SET}/sources.ndjson.zst"

    def bomb(kind: str, body: bytes) -> Bomb:
        more = {generations: generation(), sources: Codec.ZSTD.compress(b"")}
        return Bomb(f"set: {kind}", part, body, HISTORY, SET, code=4, more=more)

    frame = zstandard.ZstdCompressor().compress
    yield bomb("an index of a gigabyte", index_of(declared(b'["",1,1],', GIGABYTE)))
    yield bomb("an index that does not say how large", index_of(zstd_of(b" ", GIGABYTE)))
    yield bomb("an index that is nested", index_of(frame(DEEP)))
    huge = declared(b"a", GIGABYTE)
    index = b'{"lines":3,"seconds":[1,2],"frames":[["",%d,3]]}' % len(huge)
    yield bomb("a frame of a gigabyte", huge + index_of(frame(index)))
    yield bomb("sizes below nothing", index_of(frame(b'{"lines":3,"seconds":[1,2],"frames":[["",-5,3]]}')))
    yield bomb("an index of the whole world", b"\0" * 100 + _FOOT.pack(0xFFFFFFFF, b"BKS1"))
    more = {generations: generation(), part: b"no"}
    yield Bomb("sources of a gigabyte", sources, zstd_of(b"a", GIGABYTE), status, "sources", more=more)
    yield Bomb("sources, very short ones", sources, zstd_of(b'"a"\n', GIGABYTE), status, "sources", more=more)
    yield Bomb("generation: too large", generations, b" " * (17 * _MEGABYTE), status, "00000001.json")
    yield Bomb("generation: nested", generations, b'{"x":%s}' % DEEP, status, "00000001.json")
    yield Bomb("generation: 10^18 objects", generations, generation(partitions=1 << 60), status, "00000001.json")
    yield Bomb("generation: of the year 300,000", generations, generation(until=10**13), status, "00000001.json")


def _of_bases(at: int) -> Iterator[Bomb]:
    time_of = moment.compact(at - 20)
    done = f"{SYSTEM}base/complete/{time_of}-{time_of}_scan_bomb.json"
    part = f"{SYSTEM}base/bomb/00000-000001_5_{time_of}-{time_of}.last.ndjson.zst"
    record = b'{"format":1,"source":"x","rows":5,"parts":1}'
    restore = ("restore", TABLE, "--at", str(at), "--allow-gap", "--to-file")
    yield Bomb("base: a line of a gigabyte", part, zstd_of(b"a", GIGABYTE), restore, part, more={done: record}, code=0, spares=True)
    yield Bomb("base: a nested record", done, b'{"x":%s}' % DEEP, restore, "bomb", code=0, spares=True)
    yield Bomb("base: a huge record", done, b" " * _MEGABYTE, restore, "bomb", code=0, spares=True)
    yield Bomb("base: a nested plan", f"{SYSTEM}base/bomb/plan.json", DEEP, ("check", TABLE), "plan.json", code=3)


def _of_records(at: int, whole: Mapping[str, bytes]) -> Iterator[Bomb]:
    status = ("status", TABLE)
    yield Bomb("gap: nested", f"{SYSTEM}gaps/x.json", b'{"x":%s}' % DEEP, status, "gaps/x.json")
    yield Bomb("gap: too large", f"{SYSTEM}gaps/x.json", b" " * (1 << 20), status, "gaps/x.json")
    gap = b'{"reason":"x","since":%s,"until":1,"stream":"x"}'
    yield Bomb("gap: many digits", f"{SYSTEM}gaps/x.json", gap % DIGITS, status, "gaps/x.json")
    yield Bomb("gap: the year 300,000", f"{SYSTEM}gaps/x.json", gap % b"9999999999999", status, "gaps/x.json")
    drill = f"{SYSTEM}drills/20261123T000000.000Z_x.json"
    yield Bomb("drill: nested", drill, b'{"x":%s}' % DEEP, status, "", code=0)
    yield Bomb("drill: too large", drill, b" " * (33 * _MEGABYTE), status, "", code=0)
    name = f"{SYSTEM}catalog.json"
    for kind, body in (
        ("nested", b'{"x":%s,%s' % (DEEP, whole[name].lstrip()[1:])),
        ("too large", whole[name] + b" " * (5 * _MEGABYTE)),
        ("many digits", whole[name].replace(b'"format": 1', b'"format": %s' % DIGITS)),
    ):
        yield Bomb(f"catalog: {kind}", name, body, status, "catalog.json")
    new = ("restore", TABLE, "--at", str(at), "--to", "new-one", "--yes")
    settings = b'{"table":{},"tags":{"a":%s}}' % DEEP
    decoded = msgspec.json.decode(whole[name], type=dict[str, msgspec.Raw])
    body = msgspec.json.encode({**decoded, "settings": msgspec.Raw(settings)})
    yield Bomb("catalog: nested settings", name, body, new, "catalog.json")


def _of_newer_records(at: int, whole: Mapping[str, bytes]) -> Iterator[Bomb]:
    """The index of gaps, findings of who made a change, groups, columns, erasures, and the positions of the witness."""
    status, check = ("status", TABLE), ("check", TABLE)
    frame = zstandard.ZstdCompressor().compress
    packed = {
        "a gigabyte": declared(b"a", GIGABYTE),
        "a gigabyte that is not declared": zstd_of(b"[", GIGABYTE),
        "nested": frame(b'{"x":%s}' % DEEP),
    }
    hour = moment.compact(at)
    under = f"dt={hour[:4]}-{hour[4:6]}-{hour[6:8]}/hour={hour[9:11]}"
    findings = f"{SYSTEM}actors/{under}/{hour}-{hour}_5_0123456789abcdef.ndjson.zst"
    for kind, body in packed.items():
        index = f"{SYSTEM}compacted/gaps/00000001.json.zst"
        yield Bomb(f"index of gaps: {kind}", index, body, status, index)
        yield Bomb(f"findings: {kind}", findings, body, check, "actors/", code=3)
    nested = b'{"x":%s}' % DEEP
    group = "_backstream/~groups/shop.json"
    for kind, body in (
        ("nested", nested),
        ("too large", b" " * (2 * _MEGABYTE)),
        ("names", b'{"format":1,"name":"shop","saved":"","tables":[%s""]}' % (b'"",' * 300_000)),
    ):
        yield Bomb(f"group: {kind}", group, body, ("group",), "shop")
    columns = f"{SYSTEM}columns.json"
    for kind, body in (("nested", nested), ("too large", b" " * (5 * _MEGABYTE))):
        yield Bomb(f"columns: {kind}", columns, body, check, "columns.json", code=3)
    yield from _of_erasures(whole)


def _of_erasures(whole: Mapping[str, bytes]) -> Iterator[Bomb]:
    """The catalog names an erasure, and the record that tells what is forgotten."""
    catalog, erasure = f"{SYSTEM}catalog.json", "20231114T000000Z-abcdef"
    decoded = msgspec.json.decode(whole[catalog], type=dict[str, msgspec.Raw])
    listed = {catalog: msgspec.json.encode({**decoded, "erasures": [erasure]})}
    begun = f"{SYSTEM}erasures/{erasure}/begun.json"
    for kind, body in (
        ("nested", b'{"x":%s}' % DEEP),
        ("a million of keys", b'{"format":1,"keys":[%s""]}' % (b'"",' * 10_000_000)),
        ("too large", b" " * (65 * _MEGABYTE)),
    ):
        yield Bomb(f"erasure: {kind}", begun, body, ("status", TABLE), erasure, more=listed)


# --- the process that reads them --------------------------------------------------------------------------------------------------


def main() -> None:
    """Try each, in a copy of the vault of its own: readers see below delete markers."""
    vault = Path(sys.argv[1])
    folder = vault.parent
    found = []
    for number, path in enumerate(sorted((folder / "bombs").iterdir())):
        bomb = msgspec.msgpack.decode(path.read_bytes(), type=Bomb)
        copy = folder / f"copy-{number}"
        shutil.copytree(vault, copy)
        store = DirectoryStore(copy, SystemClock())
        for name, body in {bomb.name: bomb.body, **bomb.more}.items():
            store.put(name, body, METADATA)
        found.append(tried(bomb, copy))
        shutil.rmtree(copy)
    sys.stdout.buffer.write(msgspec.json.encode(Report(found, _peak())))


def _peak() -> int:
    """The largest resident size of this process, without what its parent had before it was started."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def tried(bomb: Bomb, vault: Path) -> Tried:
    """Run the command that comes upon it, in a vault that holds it."""
    target = vault.parent / "restored"
    target.unlink(missing_ok=True)
    words = [*bomb.words, *([str(target)] if bomb.words[-1] == "--to-file" else []), "--vault", f"file://{vault}"]
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call(words)
    took = time.monotonic() - began
    rows = len(target.read_bytes().splitlines()) if target.exists() else -1
    return Tried(bomb.kind, code, (err.getvalue() + out.getvalue())[:4_000], rows, took)


if __name__ == "__main__":
    main()
