"""A line of the log whose image is not one of its item: it is named, and never passes for the item's state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.apps.cli.main import call
from backstream.stores.directory import DirectoryStore
from backstream.vault.log.segments import Codec, Segment, SegmentKind
from kit.clock import ManualClock
from kit.lived import lived

KEY = '{"zone":"z","number":1}'
SEQUENCE = "9" * 22
OTHERS = b'{"zone":{"S":"z"},"number":{"N":"2"},"v":{"N":"666"}}'
OWN = b'{"zone":{"S":"z"},"number":{"N":"1"},"v":%s}'
UNSOUND = [  # values that DynamoDB holds in no item
    b'{"N":"abc"}',
    b'{"S":1}',
    b'{"S":"a","N":"1"}',
    b'{"X":"a"}',
    b'{"N":"%s"}' % (b"1" * 39),
    b'{"SS":[]}',
    b'{"L":[{"M":{"a":{"NS":["1","1.0"]}}}]}',
    b'{"L":[' * 32 + b'{"S":"a"}' + b"]}" * 32,
    b'{"S":"a"},"v":{"S":"b"}',
    b'{"M":{"a":{"S":"1"},"a":{"S":"2"}}}',
    b'{"B":"a"}',
]


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: bytes) -> tuple[str, int]:
    """A vault in the log layout with one more segment, of a change of item 1 with this image; a second of it."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vault").mkdir()
    store = DirectoryStore(tmp_path / "vault", ManualClock())
    stage, seconds = lived(1, store=store)
    second, stream = seconds[0] - 1, stage.table.stream.arn.rpartition("/")[2]
    metadata = {
        "WriteTimestampMicros": {"N": str(second * 1_000_000)},
        "Stream": {"S": stream},
        "SequenceNumber": {"S": SEQUENCE},
        "EventName": {"S": "MODIFY"},
    }
    new = b',"NewImage":' + image if image else b""
    line = b'{"Metadata":' + json.dumps(metadata).encode() + b',"Keys":{"zone":{"S":"z"},"number":{"N":"1"}}' + new + b"}\n"
    segment = Segment(stream, f"{SegmentKind.LAMBDA}.0123456789ab", SEQUENCE, SEQUENCE, 1, second, second, Codec.ZSTD)
    store.put(f"_backstream/flights/log/{segment.path}", Codec.ZSTD.compress(line), {"format": "2", "writer": "fn"})
    return store.url, seconds[0]


@pytest.mark.parametrize("image", [b"true", b"[]", b'"x"', b"7", b"null", b"{}", OTHERS, b"", *(OWN % each for each in UNSOUND)])
def test_it_is_named_by_every_reader(capfd: pytest.CaptureFixture[str], vault: tuple[str, int]) -> None:
    url, at = vault

    def said(*words: str) -> tuple[int, str]:
        code = call([*words, "--vault", url])
        return code, capfd.readouterr().err

    named = f"the log's entry {SEQUENCE}"
    for words in (
        ("history", "flights", KEY),
        ("history", "flights", KEY, "--diff"),
        ("history", "flights", KEY, "--json"),
        ("show", "flights", KEY, "--at", str(at)),
        ("restore", "flights", "--at", str(at), "--to-file", "rows.json"),
        ("restore", "flights", "--at", str(at), "--to-file", "row.json", "--key", KEY),
        ("snapshot", "flights", "--at", str(at), "--to", f"file://{Path.cwd()}/snapshot"),
        ("export", "flights", "--at", str(at), "--to", f"file://{Path.cwd()}/export", "--format", "parquet"),
    ):
        code, err = said(*words, "--allow-gap")
        assert (code, named in err, "defect" in err) == (1, True, False), f"{words}: {err}"
    rows = [json.loads(line)["Item"]["number"]["N"] for line in Path("rows.json").read_bytes().splitlines()]
    assert "1" not in rows
    assert len(rows) == len(set(rows)), "no row comes twice"
    code, err = said("check", "flights", "--read-data")
    assert (code, named in err) == (3, True), err


@pytest.mark.parametrize("image", [b"true", OTHERS])
def test_a_listing_does_not_show_it_as_the_items_own(capfd: pytest.CaptureFixture[str], vault: tuple[str, int]) -> None:
    url, at = vault
    call(["changes", "flights", "--from", str(at - 3), "--to", str(at), "--allow-gap", "--net", "--json", "--vault", url])
    out, err = capfd.readouterr()
    assert f"the log's entry {SEQUENCE}" in out + err
    assert "666" not in out
