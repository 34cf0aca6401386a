"""`backstream drill` and the objectives of `status`, by the real command on real servers: exit codes, reports, no table left."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from zstandard import ZstdDecompressor

from backstream.model import moment_arguments
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit.feed import Feed
from kit.images import image
from kit.proxy import FaultProxy, Hold, answer, first, lose_answer
from kit.scene import Scene, next_second
from kit.spoil import spoil

FIELDS = {"table", "at", "rows", "matched", "differences", "rpo_seconds", "rto_seconds", "passed"}
ROWS = 30
CODE = "com.amazonaws.dynamodb.v20120810#"


@pytest.fixture
def sound(scene: Scene) -> Scene:
    """A table of some rows, all of them in the vault, and proven to be."""
    scene.create()
    scene.init()
    scene.put(*(image("row", number, v={"N": f"{number}.50"}) for number in range(ROWS)))
    next_second()
    scene.tail()
    return scene


@pytest.fixture
def proxy(sound: Scene) -> Iterator[FaultProxy]:
    """Between the command and DynamoDB."""
    with FaultProxy(sound.aws.endpoint("dynamodb")) as proxy:
        sound.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        yield proxy


def newest(scene: Scene) -> str:
    """The second of the table's last change."""
    status = scene.call("status", scene.table, "--json").json()
    return str(status["newest_change"])


def tables(scene: Scene) -> list[str]:
    """Every table of this test."""
    names = scene.aws.client("dynamodb").get_paginator("list_tables").paginate().search("TableNames")
    return sorted(name for name in names if name.startswith(scene.table))


def drill(scene: Scene, *words: str) -> tuple[int, str]:
    ran = scene.call("drill", scene.table, "--patience", "0.5", *words)
    return ran.code, ran.out + ran.err


# --- passing ----------------------------------------------------------------------------------------------------------------------


def test_a_drill_that_passes(sound: Scene) -> None:
    words = (
        "--patience",
        "0.5",
        "--rpo",
        "30m",
        "--rto",
        "2h",
        "--report",
        "report",
        "--metrics",
        "drill.prom",
        "--emf",
        "drill.emf",
    )
    ran = sound.run("drill", sound.table, "--at", newest(sound), *words, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert report.keys() >= FIELDS
    assert (report["table"], report["rows"], report["matched"], report["differences"]) == (sound.table, ROWS, ROWS, 0)
    assert (report["passed"], report["live"]["same"], report["sampled"]) == (True, ROWS, 20)
    assert 0 < report["rto_seconds"] < 3_600
    assert 0 <= report["rpo_seconds"] < 3_600
    assert tables(sound) == [sound.table]
    assert sorted(path.name for path in sound.folder.iterdir()) == ["drill.emf", "drill.prom", "report.html", "report.json"]
    assert json.loads((sound.folder / "report.json").read_text()) == report
    assert "<h1>PASS</h1>" in (sound.folder / "report.html").read_text()
    assert f'backstream_drill_passed{{table="{sound.table}"}} 1' in (sound.folder / "drill.prom").read_text()
    assert json.loads((sound.folder / "drill.emf").read_text())["DrillPassed"] == 1


def test_the_history_is_in_the_vault_and_status_shows_the_last(sound: Scene) -> None:
    assert sound.call("status", sound.table, "--json").json()["last_drill"] is None
    assert "never" in sound.call("status", sound.table).out
    for _ in range(2):
        assert drill(sound, "--report", ".")[0] == 0
        next_second()
    last = sound.call("status", sound.table, "--json").json()["last_drill"]
    held = sound.backup().drills()
    assert [each.passed for each in held] == [True, True]
    assert msgspec.to_builtins(held[-1]) == last
    assert f"{last['began']}: passed, RPO" in sound.call("status", sound.table).out
    assert (sound.folder / f"{sound.table}-drill.html").read_text().count("<rect") == 4, "two drills in each of two charts"


def test_the_live_table_is_gone(sound: Scene) -> None:
    at = newest(sound)
    sound.live().delete()
    ran = sound.call("drill", sound.table, "--at", at, "--patience", "0.5", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json()["rows"], ran.json()["live"]) == (ROWS, None)
    assert "not compared with the live table: there is no such table any more" in ran.err
    assert tables(sound) == []


def test_a_table_that_is_kept(sound: Scene) -> None:
    code, said = drill(sound, "--keep", "--scratch", f"{sound.table}-look")
    assert code == 0
    assert f"{sound.table}-look, kept" in said
    assert sound.items(f"{sound.table}-look").keys() == sound.items().keys()
    code, said = drill(sound, "--scratch", f"{sound.table}-look")
    assert (code, f"there is a table {sound.table}-look already" in said) == (4, True)
    assert len(sound.items(f"{sound.table}-look")) == ROWS, "and it is untouched"


# --- failing ----------------------------------------------------------------------------------------------------------------------


def test_a_removed_version_is_exit_3_and_named(sound: Scene) -> None:
    s3 = sound.aws.client("s3")
    (entry,) = sound.vault().history(b'{"zone":{"S":"row"},"number":{"N":"3"}}')
    assert entry.place is not None
    s3.delete_object(Bucket=sound.bucket, Key=f"backups/{entry.place.name}", VersionId=entry.place.version)
    code, said = drill(sound, "--report", "report.html")
    assert code == 3, said
    assert 'unreadable  scratch   {"zone":{"S":"row"},"number":{"N":"3"}}' in said
    assert entry.place.name in said
    page = (sound.folder / "report.html").read_text()
    assert "<h1>FAIL</h1>" in page
    assert entry.place.name in page
    assert tables(sound) == [sound.table]
    assert sound.call("status", sound.table, "--rto", "2h").code == 3


def test_a_wrong_image_in_the_log_is_exit_3_and_named(scene: Scene) -> None:
    scene.create()
    scene.init(layout=Layout.LOG)
    scene.put(image("row", 1, v={"S": "right"}), image("row", 2))
    next_second()
    scene.tail()
    vault = scene.vault()
    for listed in (each for each in vault.log.listing() if each.segment is not None and each.segment.count):
        found = vault.store.get(listed.name)
        body = ZstdDecompressor().decompressobj().decompress(found.body).replace(b"right", b"wrong")
        spoil(vault.store, listed.name, vault.catalog.compress.compress(body), found.info.metadata)
    code, said = drill(scene)
    assert code == 3, said
    assert 'different   live      {"zone":{"S":"row"},"number":{"N":"1"}}' in said


def test_a_tail_that_is_an_hour_late_is_exit_3(scene: Scene) -> None:
    now = int(time.time())
    feed = Feed(scene.store(), scene.table, began=now - 7_200)
    feed.put(now - 7_000, image("row", 1))
    feed.deliver()
    feed.reached(now - 3_600)
    ran = scene.call("drill", scene.table, "--rpo", "30m", "--json")
    assert ran.code == 3, ran.err
    assert 3_600 <= ran.json()["rpo_seconds"] < 3_700
    (reason,) = ran.json()["reasons"]
    assert re.fullmatch(r"RPO is 1 h( 0\d min)?, and the objective is 30 min", reason)
    assert scene.call("drill", scene.table, "--rpo", "2h").code == 0
    assert scene.call("status", scene.table, "--rpo", "30m").code == 3
    assert scene.call("status", scene.table, "--rpo", "2h", "--rto", "1h").code == 0
    missed = scene.call("status", "--rpo", "30m", "--json", "--metrics", "all.prom")
    assert (missed.code, len(missed.json()[0]["missed"])) == (3, 1)
    assert f'backstream_objectives_missed{{table="{scene.table}"}} 1' in (scene.folder / "all.prom").read_text()


# --- bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "word"),
    [("AccessDeniedException", "Check the credentials"), ("LimitExceededException", "as many tables")],
    ids=["no permission", "table limit"],
)
def test_a_table_that_may_not_be_made(sound: Scene, proxy: FaultProxy, error: str, word: str) -> None:
    proxy.on(answer(400, json.dumps({"__type": CODE + error, "message": "no"})), operation="CreateTable")
    code, said = drill(sound, "--report", "report")
    assert code == 1, said
    assert f"was stopped: CreateTable of table {sound.table}-drill-" in said
    assert word in said
    assert "Traceback" not in said
    assert tables(sound) == [sound.table]
    assert not sound.backup().drills()[-1].passed
    assert "<h1>FAIL</h1>" in (sound.folder / "report.html").read_text()


def test_a_table_that_cannot_be_deleted_is_told_with_the_command(sound: Scene, proxy: FaultProxy) -> None:
    denied = answer(400, json.dumps({"__type": CODE + "AccessDeniedException", "message": "no"}))
    proxy.on(denied, operation="DeleteTable")
    code, said = drill(sound, "--scratch", f"{sound.table}-stays")
    assert code == 1
    assert f"THE SCRATCH TABLE {sound.table}-stays IS STILL THERE" in said
    assert f"aws dynamodb delete-table --table-name {sound.table}-stays" in said
    assert tables(sound) == [sound.table, f"{sound.table}-stays"]


def test_lost_answers_leave_no_table(sound: Scene, proxy: FaultProxy) -> None:
    proxy.on(lose_answer, operation="CreateTable", when=first(1))
    proxy.on(lose_answer, operation="DeleteTable", when=first(1))
    code, said = drill(sound)
    assert code in (0, 4), said
    assert tables(sound) == [sound.table]


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_stopped_on_its_way_it_cleans_up(sound: Scene, proxy: FaultProxy, sent: signal.Signals) -> None:
    hold = Hold()
    proxy.on(hold, operation="BatchWriteItem")
    running = sound.start("drill", sound.table, "--at", newest(sound), "--patience", "0.5")
    with hold.caught():
        assert len(tables(sound)) == 2
        running.send_signal(sent)
    _, err = running.communicate(timeout=240)
    assert running.returncode == 130, err
    assert "nothing stays behind" in err
    assert tables(sound) == [sound.table]
    assert sorted(sound.folder.iterdir()) == []
    assert sound.backup().drills() == []


def test_moments_that_are_refused(sound: Scene) -> None:
    for at in ("2100-01-01T00:00:00Z", "1999-01-01T00:00:00Z"):
        assert sound.call("drill", sound.table, "--at", at).code == 4
    second = moment_arguments.parse(newest(sound), time.time())
    sound.vault().gaps.record(Gap("lost", second, second, "stream"))
    ran = sound.call("drill", sound.table, "--at", str(second))
    assert (ran.code, "lost" in ran.err) == (4, True)
    assert tables(sound) == [sound.table]
    assert sound.backup().drills() == []


def test_words_that_are_wrong(sound: Scene, tmp_path: Path) -> None:
    for words in (
        ["--rpo", "30"],
        ["--rto", "soon"],
        ["--at", "now", "--pick", "random"],
        ["--sample", "-1"],
        ["--scratch", "a/b"],
        ["--report", str(tmp_path / "no" / "folder")],
        ["--metrics", "no/folder.prom"],
        ["--json", "--emf", "-"],
    ):
        ran = sound.call("drill", sound.table, *words)
        assert ran.code == 2, (words, ran.err)
    assert sound.call("status", "--rpo", "30").code == 2
    assert sound.call("drill", "unknown-table").code == 1
    assert tables(sound) == [sound.table]
