"""Segments of the change log: their names are a promise to Athena, Spark and every later version; their bytes are golden."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, ImagePlace, of_change, states
from backstream.stores.memory import MemoryStore
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import (
    Codec,
    Segment,
    SegmentKind,
    by_hour,
    claim_of,
    mark,
    of_arrivals,
    of_batch,
    of_run,
    pack,
    parse_path,
    read,
)
from kit.clock import ManualClock

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
GOLDEN_2 = GOLDEN.parent / "format-2"
STREAM = "2026-11-23T04:15:33.123"
SHARD = "shardId-00000001763871333000-0a1b2c3d"
HOUR = 1_795_406_400  # 2026-11-23T04:00:00Z


def entry(sequence: int, seconds: int = HOUR, event: str = "MODIFY") -> Entry:
    return Entry(
        stream=STREAM,
        sequence=str(100_000_000_000_000_000_000 + sequence),
        micros=seconds * 1_000_000,
        event=event,
        event_id=f"{sequence:032x}",
        actor="dynamodb.amazonaws.com" if event == "REMOVE" else None,
        keys=b'{"id":{"S":"a"}}',
        place=ImagePlace("flights/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", f"version-{sequence}"),
    )


def test_the_name_says_what_the_segment_holds() -> None:
    segment = of_run([entry(1), entry(2, HOUR + 5)], SHARD)
    assert segment.path == (
        "dt=2026-11-23/hour=04/20261123T041533.123_shardId-00000001763871333000-0a1b2c3d_"
        "100000000000000000001-100000000000000000002_2_20261123T040000Z-20261123T040005Z.ndjson.zst"
    )
    assert segment.kind is SegmentKind.TAIL
    assert parse_path(segment.path) == segment


def test_a_mark_says_up_to_when_and_who_ends_with_it() -> None:
    assert mark(STREAM, HOUR).path == (
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-0_0_20261123T040000Z-20261123T040000Z.ndjson.zst"
    )
    assert mark(STREAM, HOUR, "host-1").path != mark(STREAM, HOUR, "host-2").path
    assert mark(STREAM, HOUR, "host-1").kind is SegmentKind.MARK


def test_a_batch_is_nobodys_checkpoint_and_its_name_tells_its_set() -> None:
    one, other = (
        of_batch([entry(1), entry(2), entry(4)], SegmentKind.LAMBDA),
        of_batch([entry(1), entry(3), entry(4)], SegmentKind.LAMBDA),
    )
    assert one.kind is other.kind is SegmentKind.LAMBDA
    assert one.path != other.path
    assert of_batch([entry(4), entry(2), entry(1)], SegmentKind.LAMBDA).path == one.path


def test_two_exports_that_say_the_same_get_two_names() -> None:
    """Each counts by itself, in its own window; a scanned image keeps the name that it always had."""
    exports = [scanned("REMOVE", f"{number:014d}-aaaaaaaa") for number in (1, 2)]
    assert len({of_batch([each], SegmentKind.EXPORT).path for each in exports}) == len(exports)
    assert of_batch([scanned("BACKFILL")], SegmentKind.REPAIR).shard == "repair.cbd67829114a"
    assert of_batch([scanned("REMOVE")], SegmentKind.REPAIR) != of_batch([scanned("BACKFILL")], SegmentKind.REPAIR)


def scanned(event: str, source: str = "") -> Entry:
    return msgspec.structs.replace(entry(1, event=event), stream="", sequence="0", event_id=source, began=HOUR - 2)


def test_what_came_from_kinesis_says_up_to_where_all_is_there() -> None:
    entries = [entry(3), entry(1), entry(2)]
    place = "49600000000000000000000000000000000000000000000000000007"
    segment = of_arrivals(entries, "shardId-000000000001", place)
    assert (segment.kind, segment.kinesis_shard, segment.position) == (SegmentKind.KINESIS, "shardId-000000000001", place)
    assert (segment.first, segment.last, segment.count) == (entries[1].sequence, entries[0].sequence, 3), "by order, not by arrival"
    assert parse_path(segment.path) == segment
    assert read(claim_of(segment), pack(entries, Codec.ZSTD)) == entries
    unsaid = of_arrivals(entries, "shardId-000000000001", None)
    assert (unsaid.kinesis_shard, unsaid.position) == ("shardId-000000000001", None)
    assert parse_path(unsaid.path) == unsaid
    for shard in ("kinesis", "kinesis.a", "kinesis.a.b.c", "kinesis.a.1.2.3"):
        other = msgspec.structs.replace(segment, shard=shard)
        assert (other.kinesis_shard, other.position) == (None, None)


def test_no_segment_spans_two_hours() -> None:
    runs = by_hour([entry(1, HOUR - 1), entry(2, HOUR), entry(3, HOUR + 3599), entry(4, HOUR + 3600)])
    assert [[int(each.sequence[-1]) for each in run] for run in runs] == [[1], [2, 3], [4]]


labels = st.sampled_from([STREAM, "2026-11-23T04:15:33", "20261123T041533.1", "odd_label/%", "1"])
sequences = st.from_regex(r"[0-9]{21,40}", fullmatch=True)
times = st.integers(0, 4 * 10**9)


@given(
    stream=labels,
    shard=st.sampled_from([SHARD, "shard_with/odd%chars", "lambda.0a1b", "ß"]),
    first=sequences,
    last=sequences,
    count=st.integers(0, 10**7),
    seconds=st.integers(0, 4 * 10**9),
    codec=st.sampled_from(Codec),
)
def test_names_read_back(stream: str, shard: str, first: str, last: str, count: int, seconds: int, codec: Codec) -> None:
    segment = Segment(stream, shard, first, last, count, seconds, seconds - seconds % 3600 + 3599, codec)
    assert parse_path(segment.path) == segment
    assert ":" not in segment.path  # Hadoop's paths allow none


@given(
    segment=st.builds(
        Segment, labels, st.sampled_from([SHARD, "a%/b"]), sequences, sequences, st.just(10), times, times, st.sampled_from(Codec)
    ),
    where=st.integers(0, 200),
    put=st.sampled_from(["", "0", "1", "9", "%", "T", "_", "/", "a", "41"]),
    over=st.integers(0, 1),
)
def test_a_name_that_reads_is_the_only_one_of_its_segment(segment: Segment, where: int, put: str, over: int) -> None:
    """Else a copy under another name would be a second segment."""
    path = segment.path
    where %= len(path)
    changed = path[:where] + put + path[where + over :]
    read_back = parse_path(changed)
    assert read_back is None or read_back.path == changed


@pytest.mark.parametrize(
    "path",
    [
        "",
        "readme.txt",
        "dt=2026-11-23/hour=04/readme.txt",
        "dt=2026-11-23/hour=05/20261123T041533.123_mark_0-0_0_20261123T040000Z-20261123T040000Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-0_0_20261323T040000Z-20261323T040000Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-0_0_20261123T040000Z-20261123T040000Z.ndjson.lz4",
        "dt=2026-11-24/hour=04/20261123T041533.123_mark_0-0_0_20261123T040000Z-20261123T040000Z.ndjson.zst",
        "dt=2026-11-23/hour=24/20261123T041533.123_mark_0-0_0_20261123T240000Z-20261123T240000Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-0_0_20261123T040060Z-20261123T040060Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-0_00_20261123T040000Z-20261123T040000Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_m%61rk_0-0_0_20261123T040000Z-20261123T040000Z.ndjson.zst",
        "dt=2026-11-23/hour=04/20261123T041533.123_mark_0-\u0663_0_20261123T040000Z-20261123T040000Z.ndjson.zst",
    ],
)
def test_foreign_objects_are_no_segments(path: str) -> None:
    assert parse_path(path) is None


@pytest.mark.parametrize("codec", Codec)
def test_what_goes_in_comes_out(codec: Codec) -> None:
    entries = [entry(1), entry(2, event="REMOVE"), entry(3)]
    body = pack(entries, codec)
    assert read(claim_of(of_run(entries, SHARD, codec)), body) == entries
    assert pack(entries, codec) == body, "the same entries must make the same object"


@pytest.mark.parametrize("codec", Codec)
def test_every_cut_and_every_flipped_byte_is_noticed(codec: Codec) -> None:
    entries = [entry(1), entry(2)]
    segment, body = of_run(entries, SHARD, codec), pack(entries, codec)
    for damaged in (b"", body[: len(body) // 2], body[:-1], b"not " + body, b"{}"):
        with pytest.raises(Damaged):
            read(claim_of(segment), damaged)
    middle = len(body) // 2
    with pytest.raises(Damaged):
        read(claim_of(segment), body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :])


def test_a_name_and_its_content_must_agree() -> None:
    body = pack([entry(1), entry(2)], Codec.ZSTD)
    for wrong in ([entry(1)], [entry(1), entry(3)], [entry(0), entry(2)], [entry(1), entry(2), entry(3)]):
        with pytest.raises(Damaged, match="name"):
            read(claim_of(of_run(wrong, SHARD)), body)


# --- golden: what version 1 of the format wrote must be read for ever -------------------------------------------------------------


def test_golden_rows_segment() -> None:
    lines = (GOLDEN / "rows.ndjson").read_bytes()
    entries = [entry(1, event="INSERT"), entry(2, HOUR + 5), entry(3, HOUR + 9, event="REMOVE")]
    assert zstandard.ZstdDecompressor().decompress(pack(entries, Codec.ZSTD)) == lines
    assert read(claim_of(of_run(entries, SHARD, Codec.GZIP)), gzip.compress(lines)) == entries


def test_golden_inline_segment() -> None:
    """The inline form, whose images are carried as the bytes they are: digits, escapes and order untouched."""
    lines = (GOLDEN / "inline.ndjson").read_bytes()
    image = b'{"id":{"S":"a"},"n":{"N":"0.10000000000000000000000000000000000001"},"e":{"S":"\\u00e9\\/"},"b":{"B":"AP8="}}'
    entries = [
        msgspec.structs.replace(entry(1, event="INSERT"), place=None, image=image),
        msgspec.structs.replace(entry(2, event="REMOVE"), place=None, old=image),
    ]
    assert zstandard.ZstdDecompressor().decompress(pack(entries, Codec.ZSTD)) == lines
    assert read(claim_of(of_run(entries, SHARD, Codec.GZIP)), gzip.compress(lines)) == entries


# --- golden: version 2 of the format, with digests --------------------------------------------------------------------------------

OLD = b'{"id":{"S":"a"},"n":{"N":"1"}}'
NEW = b'{"n":{"N":"2.0"},"id":{"S":"a"},"t":{"SS":["y","x"]}}'


def change(sequence: int, event: str, old: bytes | None, new: bytes | None, actor: str | None = None) -> Change:
    number = str(100_000_000_000_000_000_000 + sequence)
    micros = (HOUR + sequence) * 1_000_000
    return Change(STREAM, number, micros, event, f"{sequence:032x}", actor, b'{"id":{"S":"a"}}', old, new)


CHANGES = [
    change(1, "INSERT", None, OLD),
    change(2, "MODIFY", OLD, NEW),
    change(3, "REMOVE", NEW, None),
    change(4, "REMOVE", OLD, None, actor="dynamodb.amazonaws.com"),
]


@pytest.mark.parametrize("layout", ["rows", "inline"])
def test_golden_segment_of_format_2(layout: str) -> None:
    lines = (GOLDEN_2 / f"{layout}.ndjson").read_bytes()
    place = ImagePlace("flights/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "version-1")
    entries = [of_change(each, place if layout == "rows" else None) for each in CHANGES]
    assert zstandard.ZstdDecompressor().decompress(pack(entries, Codec.ZSTD)) == lines
    assert read(claim_of(of_run(entries, SHARD, Codec.GZIP)), gzip.compress(lines)) == entries
    for found, (light, image) in zip(entries, states(lines), strict=True):
        assert (light.before, light.after, light.body) == (found.before, found.after, found.body)
        assert image == (found.image or b"")


def test_a_line_says_what_was_before_and_what_is_after() -> None:
    inserted, modified, removed, expired = (of_change(each, None) for each in CHANGES)
    assert (inserted.before, removed.leaves, expired.leaves) == ("absent", "absent", "absent")
    assert (inserted.leaves, modified.leaves) == (modified.before, removed.before)
    assert expired.before is None, "of a time to live delete nothing is said"


def test_a_segment_of_lines_with_digests_says_so() -> None:
    store = MemoryStore(ManualClock())
    (segment,) = ChangeLog(store, "flights").write_batch([of_change(CHANGES[0], None)], SegmentKind.LAMBDA, writer="fn")
    assert store.head(f"_backstream/flights/log/{segment.path}").metadata["format"] == "2"
