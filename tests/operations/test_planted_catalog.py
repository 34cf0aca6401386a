"""Somebody puts a catalog into a vault, or the records that it names: nothing is removed, erased or stopped on its word alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.apps import aws_retain
from backstream.apps.cli.main import call
from backstream.errors import Damaged, Failed
from backstream.model.changes.entry import to_line
from backstream.model.values import wire
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, EraseRequest, erase
from backstream.stores.directory import DirectoryStore
from backstream.vault import catalog as catalogs
from backstream.vault import groups, horizon
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.log import erased_lines, frames
from backstream.vault.log.erased_lines import ErasedLines
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.generation import encode
from kit import images
from kit.clock import ManualClock
from kit.invocations import Invocation
from kit.lived import COMPACTED, GENERATIONS, SMALL, lived
from kit.retained import DyingRemover
from kit.signing import key_files
from kit.stage import Stage
from operations.test_planted import read, truth

DAY = 86_400
AN_ERASURE = "20261130T085437Z-452049"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A vault in a folder whose history is years old."""
    (tmp_path / "vault").mkdir()
    return lived(2, store=DirectoryStore(tmp_path / "vault", ManualClock()))[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def ran(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return call([*words, "--vault", f"file://{tmp_path / 'vault'}"]), *capsys.readouterr()

    return ran


def forge(stage: Stage, **fields: Any) -> None:
    """One PUT, over the catalog."""
    made = msgspec.structs.replace(catalogs.load(stage.store, "flights"), **fields)
    stage.store.put(catalogs.name_of("flights"), catalogs.encode(made))


def versions(stage: Stage) -> int:
    return sum(not each.marker for each in stage.store.versions(""))


# --- the end of history ---


def test_a_catalog_that_keeps_a_minute_ends_no_history(stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(stage, keep=60)
    before = versions(stage)
    code, _, err = run("retain", "flights")
    assert code == 4
    assert "the catalog says that 60 seconds of the history of flights are kept, less than 2,592,000" in err
    monkeypatch.setenv("BACKSTREAM_VAULT", stage.store.url)
    with pytest.raises(Failed, match="flights"):
        aws_retain.handler({"table": "flights"}, Invocation())
    monkeypatch.setenv("BACKSTREAM_KEEP_AT_LEAST", "400d")
    forge(stage, keep=399 * DAY)
    assert run("retain", "flights")[0] == 4
    assert versions(stage) == before + 1
    monkeypatch.setenv("BACKSTREAM_KEEP_AT_LEAST", "1m")
    forge(stage, keep=60)
    assert run("retain", "flights")[0] == 0, "whoever runs it may allow less"
    assert stage.vault().catalog.horizon is not None


def test_a_catalog_with_a_horizon_ends_no_history(stage: Stage, run: Run) -> None:
    """The retention keeps ten years. The horizon is of some days ago, in a vault that has lived for years."""
    second = int(time.time()) - 3 * DAY
    forge(stage, horizon=horizon.at(second, "made-up"), keep=3_650 * DAY)
    before = versions(stage)
    for words in ((), ("--keep", "3650d")):
        code, out, err = run("retain", "flights", "--json", *words)
        assert (code, json.loads(out)["removed_versions"]) == (0, 0), err
        assert "nothing is removed: the catalog says that history is kept from" in err
    assert versions(stage) == before


# --- erasures ---


def test_an_erasure_that_was_interrupted_is_named_before_it_is_finished(stage: Stage, run: Run) -> None:
    """Anybody may have put its record there: an operator sees what goes with his own."""
    key = wire.key_of(images.SCHEMA, images.key("z", 3))
    request = EraseRequest(reason="not yours", by="somebody", keys=(key,))
    store: Any = stage.store
    with pytest.raises(Failed):
        erase(stage.vault, request, EraseContext(stage.clock, DyingRemover(store, 2), SMALL))
    own = json.dumps({"zone": "z", "number": 4})
    code, _, err = run("erase", "flights", "--key", own, "--reason", "mine", "--dry-run")
    assert code == 0, err
    (found,) = stage.vault().catalog.erasures
    assert f"finished with it: erasure {found} of 1 item, begun by somebody: not yours" in err


def test_lines_are_missing_only_for_an_erasure_that_the_catalog_names(stage: Stage) -> None:
    """Otherwise a set without any lines, and a record beside it, would hide the whole log."""
    compact(stage.vault(), stage.clock)
    before = stage.vault().compacted.current()
    (old,) = before.changes
    empty = f"{before.number + 1:08d}-aaaaaaaaaaaa"
    entry = next(iter(stage.vault().history(wire.key_of(images.SCHEMA, images.key("z", 1)))))
    body, index = frames.pack([FrameLine(stage.vault().key(entry), entry.seconds, to_line(entry))])
    for place in range(old.partitions):
        stage.store.put(f"{COMPACTED}{empty}/{place:05d}-of-{old.partitions:05d}.ndjson.zst", body)
    erased_lines.write(stage.store, f"{COMPACTED}{empty}/", ErasedLines(AN_ERASURE, {old.id: old.lines - index.lines}))
    stage.store.put(f"{COMPACTED}{empty}/sources.ndjson.zst", frames_of_nothing())
    made = msgspec.structs.replace(old, id=empty, lines=index.lines, size=len(body), erased=old.lines - index.lines)
    generation = msgspec.structs.replace(before, number=before.number + 1, sets=[made, *before.bases], unsettled=[])
    name = f"{GENERATIONS}{generation.number:08d}.json"
    stage.store.put(name, *encode(generation))
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [name in each for each in named] == [True]
    forge(stage, erasures=(AN_ERASURE,))  # who may write the catalog can do that: docs/security.md says so
    assert stage.vault().compacted.in_force().planted == []


def frames_of_nothing() -> bytes:
    return frames.pack([])[0]


def test_an_object_over_the_record_of_forgotten_items_stops_no_writer(stage: Stage) -> None:
    record = forgotten.Forgotten(1, (forgotten.SaltedHashes("ab", frozenset(("cd",))),))
    forge(stage, forgotten=forgotten.write(stage.store, "flights", record))
    forgotten._known.clear()
    name = f"_backstream/flights/erasures/forgotten-{stage.vault().catalog.forgotten}.json"
    stage.store.put(name, b"{}")
    stage.store.delete(name)
    assert stage.vault().forgotten == record
    stage.put([1])
    assert stage.follow().captured == 1
    forgotten._known.clear()


# --- what no catalog says ---


@pytest.mark.parametrize(
    "fields",
    [
        {"erasures": ["yesterday"]},
        {"erasures": ["20269999T085437Z-452049"]},
        {"keep": 10**15},
        {"lives": [{"created": 10**18, "table_id": "x", "stream": "", "complete": True}]},
        {"base_backup": {"id": "x", "kind": "scan", "began": "once", "ended": "later"}},
        {"ways": [{"since": "once", "layout": "log", "naming": "md5", "tenant_attribute": None}]},
        {"forgotten": "../../x"},
        {"horizon": {"second": 10**18, "since": "x", "base": "x"}},
    ],
)
def test_what_no_catalog_says_is_damage(stage: Stage, run: Run, fields: dict[str, Any]) -> None:
    name = catalogs.name_of("flights")
    good = msgspec.json.decode(stage.store.get(name).body, type=dict[str, Any])
    stage.store.put(name, msgspec.json.encode(good | fields))
    with pytest.raises(Damaged, match="catalog"):
        catalogs.load(stage.store, "flights")
    for words in (("status", "flights"), ("retain", "flights", "--keep", "400d"), ("status",)):
        code, _, err = run(*words)
        assert code in (1, 3, 4), err
        assert "the catalog _backstream/flights/catalog.json says what none does" in err
        assert "a defect of Backstream" not in err


@pytest.mark.parametrize("body", [b"{", b"[1]", b'[{"object":1}]'])
def test_a_note_of_an_erasure_that_cannot_be_read_is_damage(stage: Stage, body: bytes) -> None:
    stage.store.put(f"_backstream/flights/erasures/{AN_ERASURE}/pass-0.json", body)
    with pytest.raises(Damaged, match="the note of an erasure cannot be read"):
        Erasures(stage.store, "flights", [AN_ERASURE]).noted(AN_ERASURE)


# --- groups ---


def test_a_group_is_no_word_of_a_reader_who_asks_for_signatures(
    stage: Stage, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may put one object chooses the tables that a restore in place overwrites. Without signatures they are named first."""
    groups.save(stage.store, "shop", ["flights"], {}, stage.clock.now())
    public = key_files(tmp_path)[1]
    words = ("restore", "--group", "shop", "--at", "now", "--in-place", "--yes")
    for key in (["--verify-key", str(public)], []):
        if not key:
            monkeypatch.setenv("BACKSTREAM_VERIFY_KEY", str(public))
        code, _, err = run(*words, *key)
        assert code == 4, err
        assert "the group shop is not signed: anyone who may write into the vault may change it" in err
    assert run("status", "--group", "shop")[0] == 4


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"format":1,"name":"other","saved":"x","tables":["flights"]}', b'{"format":9}'])
def test_a_group_that_nobody_defined_is_damage(stage: Stage, run: Run, body: bytes) -> None:
    stage.store.put(f"{groups.FOLDER}shop.json", body)
    for words in (("status", "--group", "shop"), ("restore", "--group", "shop", "--at", "now", "--in-place", "--yes")):
        code, _, err = run(*words)
        assert code == 1, err
        assert "the group _backstream/~groups/shop.json" in err
        assert "a defect of Backstream" not in err


def test_a_group_that_is_damaged_hides_no_other_and_is_defined_anew_or_removed(stage: Stage, run: Run) -> None:
    groups.save(stage.store, "all", ["flights"], {}, stage.clock.now())
    stage.store.put(f"{groups.FOLDER}shop.json", b"{")
    code, out, err = run("group", "--json")
    assert (code, "error: shop: the group _backstream/~groups/shop.json cannot be read" in err) == (1, True), err
    sound, broken = json.loads(out)
    assert (sound["name"], sound["tables"], broken["name"], broken["error"]["kind"]) == ("all", ["flights"], "shop", "Damaged")
    assert run("group", "shop", "flights")[0] == 0
    assert groups.load(stage.store, "shop").tables == ("flights",)
    code, out, _ = run("group", "shop", "--versions", "--json")
    assert (code, [bool(each["unreadable"]) for each in json.loads(out)]) == (0, [False, True])
    stage.store.put(f"{groups.FOLDER}shop.json", b"{")
    assert run("group", "shop", "--remove")[0] == 0
    assert groups.names(stage.store) == ["all"]


def test_a_group_of_a_newer_format_is_not_overwritten(stage: Stage, run: Run) -> None:
    body = b'{"format":9,"members":["flights"]}'
    stage.store.put(f"{groups.FOLDER}shop.json", body)
    code, _, err = run("group", "shop", "flights")
    assert (code, "shop.json is of format 9" in err) == (1, True), err
    assert stage.store.get(f"{groups.FOLDER}shop.json").body == body
