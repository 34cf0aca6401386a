"""`backstream revert` on real servers: the bad night, its undo, plans as files, and words that make no sense."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

import backstream
from backstream.model.values import wire
from kit.images import SCHEMA, image, key
from kit.scene import Scene, next_second, same

ROWS = 200
UPDATED, BOUGHT, DELETED, CREATED = range(107), range(5), range(110, 125), range(300, 303)


def row(number: int, price: int = 100, **more: dict[str, Any]) -> bytes:
    return image("z", number, price={"N": str(price)}, kind={"S": "goods"}, title={"S": f"item {number} " + "x" * 200}, **more)


def order(number: int) -> bytes:
    return image("z", 1_000 + number, kind={"S": "order"}, of={"N": str(number)})


def name(number: int) -> bytes:
    return wire.key_of(SCHEMA, key("z", number))


class Night:
    """A deploy reprices 107 rows, deletes 15 and makes 3; customers order all the while, and buy 5 of the repriced ones since."""

    def __init__(self, scene: Scene) -> None:
        scene.create()
        scene.init(layout="log")
        scene.put(*(row(number) for number in range(ROWS)))
        self.before = scene.items()
        self.begun = next_second()
        next_second()
        deploy = {"release": {"S": "v2"}}
        scene.put(*(row(number, 0, **deploy) for number in UPDATED))
        scene.put(*map(order, range(10)))
        scene.delete(*(key("z", number) for number in DELETED))
        scene.put(*(row(number, 0, **deploy) for number in CREATED))
        self.ended = next_second()
        next_second()
        scene.put(*(row(number, 0, **deploy, buyer={"S": "ann"}) for number in BOUGHT))
        scene.put(*map(order, range(10, 20)), *(row(number, 100, buyer={"S": "eve"}) for number in range(160, 170)))
        next_second()
        scene.tail()
        self.after = scene.items()

    @property
    def window(self) -> list[str]:
        return ["--from", str(self.begun), "--to", str(self.ended)]

    def expected(self) -> dict[bytes, bytes]:
        """As it was before the night, with all that customers did."""
        every = {**self.after}
        for number in (*UPDATED, *DELETED):
            every[name(number)] = self.before[name(number)]
        for number in BOUGHT:
            every[name(number)] = row(number, 100, buyer={"S": "ann"})
        for number in CREATED:
            del every[name(number)]
        return every


BAD = ["--where", 'kind = "goods"']  # customers, in that window, only wrote orders


@pytest.fixture
def night(scene: Scene) -> Night:
    return Night(scene)


def writes_on_stream(scene: Scene, since: int) -> set[bytes]:
    """The keys of all items that were written after that second, as the table's own stream says."""
    next_second()
    scene.tail()
    lines = scene.call("changes", scene.table, "--from", str(since), "--ndjson").out.splitlines()
    return {wire.key_of(SCHEMA, json.dumps(json.loads(line)["key"]).encode()) for line in lines}


def test_the_bad_night(scene: Scene, night: Night) -> None:
    touched = {name(number) for number in (*UPDATED, *DELETED, *CREATED)}
    net = scene.call("changes", scene.table, *night.window, *BAD, "--net", "--json").json()
    assert {wire.key_of(SCHEMA, json.dumps(each["key"]).encode()) for each in net} == touched
    summary = scene.call("changes", scene.table, *night.window, *BAD, "--summary", "--json").json()
    assert (summary["items"], summary["events"]) == (125, {"MODIFY": 107, "REMOVE": 15, "INSERT": 3})

    shown = scene.call("revert", scene.table, *night.window, *BAD, "--dry-run")
    assert shown.code == 0, shown.err
    assert shown.out.count('    price: {"N":"0"} -> {"N":"100"}') == 107
    assert shown.out.count("PUT ") == 15
    assert scene.items() == night.after

    refused = scene.call("revert", scene.table, *night.window, *BAD)
    assert (refused.code, "not confirmed" in refused.err) == (4, True)

    second = next_second()
    report = scene.call("revert", scene.table, *night.window, *BAD, "--yes", "--json")
    assert report.code == 0, report.err
    done = report.json()
    assert (done["put"], done["updated"], done["deleted"]) == (15, 107, 3)
    assert (done["conflicts"], done["failed"], done["conflicting"]) == (0, 0, [])
    assert same(scene.items(), night.expected())
    assert writes_on_stream(scene, second) == touched

    again = scene.call("revert", scene.table, *night.window, *BAD, "--yes", "--json").json()
    assert (again["put"], again["updated"], again["deleted"], again["unchanged"]) == (0, 0, 0, 125)

    undone = scene.call("revert", scene.table, "--undo", done["file"], "--yes", "--json")
    assert undone.code == 0, undone.err
    assert same(scene.items(), night.after)


def test_a_plan_is_a_file_that_is_applied_as_it_is(scene: Scene, night: Night) -> None:
    path = Path(scene.folder) / "night.ndjson"
    made = scene.call("revert", scene.table, *night.window, *BAD, "--plan", str(path), "--json")
    assert made.code == 0, made.err
    assert made.json()["dry_run"]
    assert f"Carry it out with: backstream revert {scene.table} --apply {path}\n" in made.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert scene.items() == night.after
    lines = path.read_bytes().splitlines(keepends=True)
    assert (json.loads(lines[0])["table"], len(lines)) == (scene.table, 1 + 125 + 2)

    altered = Path(scene.folder) / "altered.ndjson"
    altered.write_bytes(b"".join(lines).replace(b'"100"', b'"101"', 1))
    cut = Path(scene.folder) / "cut.ndjson"
    cut.write_bytes(b"".join(lines[:-1]))
    not_json = Path(scene.folder) / "not.json"
    not_json.write_bytes(b"price,100\n")
    for file, code, said in (
        (altered, 4, "altered"),
        (cut, 4, "altered"),
        (not_json, 2, "not the plan"),
        (path / "x", 2, "cannot"),
    ):
        ran = scene.call("revert", scene.table, "--apply", str(file), "--yes")
        assert (ran.code, said in ran.err) == (code, True), ran.err
    other = scene.call("revert", "another", "--apply", str(path), "--yes")
    assert (other.code, f"a plan for {scene.table}" in other.err) == (2, True)
    assert scene.items() == night.after

    scene.put(row(50, 7))  # after the plan was made
    scene.delete(key("z", 51))
    applied = scene.call("revert", scene.table, "--apply", str(path), "--yes", "--json")
    assert applied.code == 1
    report = applied.json()
    assert (report["put"], report["updated"], report["deleted"], report["conflicts"]) == (15, 105, 3, 2)
    assert sorted(json.loads(json.dumps(each))["number"]["N"] for each in report["conflicting"]) == ["50", "51"]
    expected = night.expected()
    del expected[name(51)]
    assert same(scene.items(), {**expected, name(50): row(50, 7)})


def test_words_that_make_no_sense_write_nothing(scene: Scene, night: Night) -> None:
    file = Path(scene.folder) / "file"
    file.write_bytes(b"not json\n")
    before = ["--from", "2001-01-01T00:00:00Z", "--to", str(night.ended)]
    backwards = ["--from", str(night.ended), "--to", str(night.begun)]
    for words, code, said in (
        (before, 4, "before the vault's first change"),
        (backwards, 2, "ends before it begins"),
        (["--from", str(night.ended), "--to", str(night.ended)], 2, "the window is empty"),
        ([*night.window, "--where", "relase exists"], 1, "'release'"),
        ([*night.window, "--changes", str(file)], 2, "neither JSON nor"),
        ([*night.window, "--keys", str(file)], 2, "not JSON"),
        ([*night.window, "--plan", str(file)], 2, "there already"),
        ([*night.window, "--apply", str(file)], 2, "goes without"),
        (["--to", str(night.ended)], 2, "the window of the changes is missing"),
        (["--undo", "none", "--resume", "none"], 2, "--resume and --undo exclude each other"),
        (["--undo", "none"], 2, "cannot read"),
        (["--resume", "none"], 2, "cannot read"),
        ([*night.window, "--merge", "lines"], 2, "lines"),
        ([*night.window, "--on-conflict", "guess"], 2, "guess"),
    ):
        ran = scene.call("revert", scene.table, *words, "--yes")
        assert (ran.code, said in ran.err) == (code, True), (words, ran.err)
    assert scene.items() == night.after


def test_single_changes_by_number_and_conflicts(scene: Scene, night: Night, tmp_path: Path) -> None:
    lines = scene.call("changes", scene.table, *night.window, "--ndjson").out.splitlines()
    chosen = [line for line in lines if json.loads(line)["key"]["number"]["N"] in ("60", "61")]
    path = tmp_path / "chosen"
    path.write_text("\n".join(chosen))
    scene.put(row(61, 55))  # somebody has repriced it since
    words = ["revert", scene.table, *night.window, "--changes", str(path), "--yes", "--json"]
    stopped = scene.call(*words, "--on-conflict", "stop")
    assert (stopped.code, "in conflict" in stopped.err) == (1, True)
    ran = scene.call(*words)
    assert ran.code == 1
    assert (ran.json()["updated"], ran.json()["conflicts"]) == (1, 1)
    assert "price" in ran.err
    assert wire.same_image(scene.items()[name(60)], night.before[name(60)])
    assert scene.items()[name(61)] == row(61, 55) or wire.same_image(scene.items()[name(61)], row(61, 55))
    forced = scene.call(*words, "--on-conflict", "overwrite")
    assert (forced.code, forced.json()["updated"]) == (0, 1)
    assert wire.same_image(scene.items()[name(61)], night.before[name(61)])


def test_a_restore_of_what_changed_in_a_window_or_of_the_keys_in_a_file(scene: Scene, night: Night) -> None:
    words = ["restore", scene.table, "--at", str(night.begun), "--in-place", "--yes", "--json"]
    between = ["--changed-between", str(night.begun), str(night.ended)]
    shown = scene.call("restore", scene.table, "--at", str(night.begun), "--in-place", *between, "--dry-run")
    assert shown.code == 0, shown.err
    assert 'price: {"N":"0"} -> {"N":"100"}' in shown.out
    assert "would be put" in shown.out
    file = Path(scene.folder) / "keys"
    file.write_bytes(b"\n".join(key("z", number) for number in (60, 110)))
    ran = scene.call(*words, "--keys", str(file))
    assert ran.code == 0, ran.err
    assert ran.json()["put"] == 2
    ran = scene.call(*words, *between, "--where", 'kind = "goods"')
    assert ran.code == 0, ran.err
    assert (ran.json()["put"], ran.json()["deleted"]) == (107 + 15 - 2, 3)
    expected = {**night.after, **{name(number): night.before[name(number)] for number in (*UPDATED, *DELETED)}}
    assert same(scene.items(), {each: expected[each] for each in expected if each not in set(map(name, CREATED))})
    none = scene.call(*words, "--changed-between", str(night.begun), str(night.begun + 1))
    assert (none.code, "nothing of" in none.err) == (1, True), none.err
    bad = scene.call(*words, "--keys", "nowhere")
    assert (bad.code, "cannot read" in bad.err) == (2, True)


def test_the_library_has_the_same_verbs(scene: Scene, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scene.folder)
    for variable, value in scene.environment.items():
        monkeypatch.setenv(variable, value)
    table = backstream.open(scene.url).table(scene.table)
    chosen = table.changes(from_=night.begun, to=night.ended, where=BAD[1])
    touched = {name(number) for number in (*UPDATED, *DELETED, *CREATED)}
    assert {bytes(each.key) for each in chosen} == {bytes(each.key) for each in chosen.net()} == touched
    assert chosen.summary().items == len(touched)
    plan = table.plan_revert("night.ndjson", from_=night.begun, to=night.ended, where=BAD[1], max_write_units=4_000)
    assert {bytes(row.key): row.action for row in plan}[name(110)] == "put"
    assert (plan.report.put, plan.report.updated, plan.report.deleted, plan.report.dry_run) == (15, 107, 3, True)
    asked: dict[str, object] = {}
    with monkeypatch.context() as patched:
        patched.setattr(table, "apply_plan", lambda _, **words: asked.update(words))
        plan.apply(expect_deletes=3)
    assert (asked["max_write_units"], asked["expect_deletes"]) == (4_000, 3)
    done = plan.apply()
    assert same(scene.items(), night.expected())
    assert table.undo_revert(done.file or "").failed == 0
    assert same(scene.items(), night.after)


@pytest.mark.soak
def test_after_kill_9_it_goes_on_and_nothing_is_written_twice(scene: Scene, night: Night) -> None:
    second = next_second()
    slow = scene.start("revert", scene.table, *night.window, *BAD, "--yes", "--max-write-units", "10")
    deadline = time.monotonic() + 240
    while same(scene.items(), night.after):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    slow.kill()
    slow.communicate(timeout=240)
    assert not same(scene.items(), night.expected())
    journal = next(each for each in Path(scene.folder).glob("backstream-revert-*.ndjson") if "plan" not in each.name)
    ran = scene.call("revert", scene.table, "--resume", str(journal), "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert report["put"] + report["updated"] + report["deleted"] + report["unchanged"] == 125
    assert same(scene.items(), night.expected())
    assert len(writes_on_stream(scene, second)) == 125
    lines = scene.call("changes", scene.table, "--from", str(second), "--ndjson").out.splitlines()
    assert len(lines) == 125
