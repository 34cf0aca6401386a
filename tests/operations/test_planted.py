"""Somebody puts objects into a vault: over what is there, or above it. What is true is read, and the rest is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.engine.local.state import State
from backstream.errors import Damaged
from backstream.model import moment
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.generation import Generation, Set
from backstream.vault.log.segments import pack
from kit.clock import ManualClock
from kit.lived import COMPACTED, GENERATIONS, SMALL, lived, names
from kit.stage import Stage

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=Layout)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    (tmp_path / "vault").mkdir()
    return lived(store=DirectoryStore(tmp_path / "vault", ManualClock()), layout=request.param)[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def ran(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = call([*words, "--vault", f"file://{tmp_path / 'vault'}"])
        return code, *capsys.readouterr()

    return ran


def now(stage: Stage) -> str:
    return moment.iso(_proven(stage))


def _proven(stage: Stage) -> int:
    proven = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    return proven


def with_changes(stage: Stage) -> list[str]:
    return [each.name for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]


def forged(stage: Stage, name: str) -> bytes:
    """A segment of the same name in which every image is another, and every digest fits."""
    listed = next(each for each in stage.vault().log.listing() if each.name == name)
    entries = stage.vault().log.read(listed)
    made = [msgspec.structs.replace(each, event_id=f"made up {each.event_id}") for each in entries]
    assert listed.segment is not None
    return pack(made, listed.segment.codec)


def truth(stage: Stage) -> dict[bytes, bytes]:
    return dict(stage.expected(_proven(stage)))


def read(stage: Stage) -> tuple[dict[bytes, bytes], list[str]]:
    """The state as a restore reads it, and what it names."""
    vault = stage.vault()
    with State(vault, _proven(stage), memory=SMALL) as found:
        rows = {key: vault.image(entry) for part in found for key, entry in part.items() if not entry.removed}
        return rows, [f"{each.name}: {each.why}" for each in found.unreadable]


def is_refused_by_all(run: Run, stage: Stage, tmp_path: Path, planted: str) -> None:
    """A restore refuses and names it; status and check name it; with --allow-gap what was true is restored."""
    code, _, err = run("restore", "flights", "--at", now(stage), "--to-file", str(tmp_path / "out"))
    assert code == 4, err
    assert planted in err
    assert "damage" in err
    code, out, err = run("status", "flights")
    assert (code, "DAMAGED" in err, planted in err) == (3, True, True), out + err
    code, out, _ = run("check", "flights", "--json")
    found = [each for each in json.loads(out)["findings"] if each["object"] == planted]
    assert code == 3
    assert [each["kind"] for each in found] == ["damaged"]
    code, _, err = run("restore", "flights", "--at", now(stage), "--to-file", str(tmp_path / "out"), "--allow-gap")
    assert (code, planted in err) == (1, True)
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [planted in each for each in named] == [True]


def test_a_put_over_a_segment(stage: Stage, run: Run, tmp_path: Path) -> None:
    name = with_changes(stage)[1]
    stage.store.put(name, forged(stage, name), {"format": "2"})
    is_refused_by_all(run, stage, tmp_path, name)


@pytest.mark.parametrize("body", [b"", b"what is this"])
def test_a_put_of_anything_over_a_segment(stage: Stage, run: Run, tmp_path: Path, body: bytes) -> None:
    name = with_changes(stage)[0]
    stage.store.put(name, body)
    is_refused_by_all(run, stage, tmp_path, name)


def test_a_put_over_a_segment_below_a_delete_marker(stage: Stage) -> None:
    name = with_changes(stage)[1]
    body = forged(stage, name)
    stage.store.delete(name)
    stage.store.put(name, body)
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [name in each for each in named] == [True]


def test_the_same_bytes_twice_are_harmless(stage: Stage, run: Run) -> None:
    for name in with_changes(stage):
        stored = stage.store.get(name)
        stage.store.put(name, stored.body, stored.info.metadata)
    assert read(stage) == (truth(stage), [])
    assert run("check", "flights")[0] == 0
    assert run("status", "flights")[0] == 0


def test_a_put_over_a_compacted_segment_brings_nothing_back(stage: Stage) -> None:
    name = with_changes(stage)[1]
    body = forged(stage, name)
    compact(stage.vault(), stage.clock)
    stage.store.put(name, body)
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [name in each for each in named] == [True]


def test_days_after_its_compaction_too(stage: Stage) -> None:
    """A listing of names is all that is asked for then: what lies below a name that is there again is looked at by itself."""
    name = with_changes(stage)[1]
    body = forged(stage, name)
    stage.clock.sleep(3 * 86_400)
    stage.put([1])
    stage.follow()
    compact(stage.vault(), stage.clock)
    stage.store.put(name, body)
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [name in each for each in named] == [True]


def test_a_put_over_a_part_of_a_set(stage: Stage, run: Run, tmp_path: Path) -> None:
    compact(stage.vault(), stage.clock)
    name = next(each for each in names(stage.store, COMPACTED) if each.endswith("-of-00001.ndjson.zst"))
    stage.store.put(name, stage.store.get(name).body[:-40])
    is_refused_by_all(run, stage, tmp_path, name)
    code, _, err = run("show", "flights", '{"zone":"z","number":1}', "--at", now(stage))
    assert (code != 0, name in err) == (True, True), err


def test_a_put_over_a_part_of_a_base_backup(stage: Stage) -> None:
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    stage.put([1])
    stage.follow()
    name = next(each for each in names(stage.store, "_backstream/flights/base/") if each.endswith(".last.ndjson.zst"))
    stage.store.put(name, b"")
    rows, _ = read(stage)
    assert rows == truth(stage)


# --- generations ------------------------------------------------------------------------------------------------------------------


def hiding_all(stage: Stage, number: int, sets: list[Set]) -> Generation:
    return Generation(number=number, sets=sets, kept=with_changes(stage))


def put_generation(stage: Stage, generation: Generation) -> str:
    name = f"{GENERATIONS}{generation.number:08d}.json"
    stage.store.put(name, msgspec.json.encode(generation))
    return name


@pytest.mark.parametrize("number", [1, 7, 99_999_999])
def test_one_generation_does_not_hide_a_log_that_was_never_compacted(stage: Stage, run: Run, tmp_path: Path, number: int) -> None:
    is_refused_by_all(run, stage, tmp_path, put_generation(stage, hiding_all(stage, number, [])))


@pytest.mark.parametrize("further", [1, 2, 90_000_000])
@pytest.mark.parametrize("with_sets", [False, True])
def test_one_of_a_greater_number_hides_nothing(stage: Stage, run: Run, tmp_path: Path, further: int, *, with_sets: bool) -> None:
    compact(stage.vault(), stage.clock)
    before = stage.vault().compacted.current()
    stage.put([1, 2])
    stage.follow()
    made = hiding_all(stage, before.number + further, before.sets if with_sets else [])
    is_refused_by_all(run, stage, tmp_path, put_generation(stage, made))
    with pytest.raises(Damaged, match="no compaction made"):
        compact(stage.vault(), stage.clock)


def test_several_of_them_one_after_the_other(stage: Stage) -> None:
    compact(stage.vault(), stage.clock)
    number = stage.vault().compacted.current().number
    planted = [put_generation(stage, hiding_all(stage, number + further, [])) for further in (1, 2, 3)]
    rows, named = read(stage)
    assert rows == truth(stage)
    assert [any(each in name for name in named) for each in planted] == [True] * 3


def test_a_put_over_the_generation_in_force(stage: Stage, run: Run, tmp_path: Path) -> None:
    compact(stage.vault(), stage.clock)
    number = stage.vault().compacted.current().number
    is_refused_by_all(run, stage, tmp_path, put_generation(stage, hiding_all(stage, number, [])))


def test_a_set_that_is_made_up_does_not_stand_for_the_log(stage: Stage) -> None:
    """Its sources name all of the log, and it holds one line of one second."""
    vault = stage.vault()
    all_of_them = with_changes(stage)
    vault.compacted.write_sources("00000001-aaaaaaaaaaaa", dict.fromkeys(all_of_them, ""))
    made = Set("00000001-aaaaaaaaaaaa", 1, 1, 1, 0, 1)
    put_generation(stage, Generation(number=1, sets=[made], unsettled=[made.id]))
    rows, named = read(stage)
    assert rows == truth(stage)
    assert named


def test_a_compaction_is_sound_at_each_step(stage: Stage) -> None:
    """Merges, kept segments and settled generations: each was made from the one before."""
    for round_ in range(4):
        compact(stage.vault(), stage.clock)
        assert stage.vault().compacted.in_force().planted == []
        stage.clock.sleep(86_400)
        stage.put([round_, round_ + 1])
        stage.follow()
    assert read(stage) == (truth(stage), [])
