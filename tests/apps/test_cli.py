"""The command line as others build on it: words, exit codes, JSON fields, and what goes to stdout and what to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from backstream import private_files
from backstream.apps.cli.commands import ALL
from backstream.apps.cli.restore import one
from backstream.model import moment
from kit.feed import Feed
from kit.images import image, key
from kit.proxy import FaultProxy, Hold, after
from kit.scene import COMMAND, Ran, Scene, file_items, same
from kit.stage import wait_for

ROOT = Path(__file__).parents[2]
NOW = int(time.time())
T = NOW - 3_600
COMMANDS = sorted(ALL)

RESTORE_FIELDS = {"table", "at", "target", "put", "deleted", "unchanged", "failed", "dry_run", "seconds"}
HISTORY_FIELDS = {"time", "sequence", "event", "actor", "image"}
STATUS_FIELDS = {"table", "layout", "window_from", "window_to", "lag_seconds", "gaps", "last_drill"}

ROW = key("row", 1).decode()


@pytest.fixture
def feed(scene: Scene) -> Feed:
    """A vault with one row of three versions, and twenty others."""
    feed = Feed(scene.store(), scene.table, began=T - 600)
    feed.put(T, image("row", 1, v={"S": "first :smile: [bold]"}), *(image("other", number) for number in range(20)))
    feed.put(T + 10, image("row", 1, v={"S": "second"}, more={"BOOL": True}))
    feed.delete(T + 20, key("row", 1))
    feed.deliver()
    feed.reached(NOW - 60)
    return feed


@pytest.fixture
def slow_s3(scene: Scene) -> Iterator[Hold]:
    """Two hundred rows are read, and all others wait."""
    with FaultProxy(scene.aws.endpoint("s3")) as proxy:
        scene.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
        hold = Hold()
        proxy.on(hold, method="GET", path=f"/{scene.table}/", when=after(200))
        yield hold


def restore(scene: Scene, *words: str) -> Ran:
    return scene.call("restore", scene.table, "--at", str(T), *words)


# --- every command ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_and_is_on_a_page_for_people(scene: Scene, command: str) -> None:
    ran = scene.call(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"backstream {command}" in ran.out
    pages = [ROOT / "README.md", *(each for each in (ROOT / "docs").glob("*.md") if each.name != "cli.md")]  # which is generated
    told = any(re.search(rf"backstream {command}\b", each.read_text()) for each in pages)
    assert told, f"neither README.md nor a page of docs/ shows {command}"


def test_the_help_the_version_and_no_words_at_all(scene: Scene) -> None:
    assert re.fullmatch(r"backstream \d+\.\d+\.\d+\n", scene.run("--version").out)
    for ran in (scene.run("--help"), scene.run()):
        assert ran.code == 0
        assert all(command in ran.out for command in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["status", "--no-such-option"],
        ["init"],
        ["init", "table", "--layout", "columns"],
        ["init", "a/b"],
        ["restore", "table", "--to", "x"],
        ["restore", "TABLE", "--at", "now"],
        ["restore", "TABLE", "--at", "now", "--to", "abc", "--in-place", "--yes"],
        ["restore", "TABLE", "--at", "now", "--to", "a/b"],
        ["restore", "TABLE", "--at", "now", "--to", "abc", "--key", "{}", "--tenant", "x"],
        ["restore", "TABLE", "--at", "now", "--to", "abc", "--tenant", "x"],
        ["restore", "TABLE", "--at", "now", "--to", "abc", "--max-write-units", "0"],
        ["show", "TABLE", ROW],
        ["show", "TABLE", ROW, "--at", "soon"],
        ["history", "TABLE"],
    ],
)
def test_wrong_words(scene: Scene, feed: Feed, words: list[str]) -> None:
    ran = scene.call(*(scene.table if word == "TABLE" else word for word in words))
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err
    assert feed.model.at(T)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "row",
        '"row"',
        "[]",
        "{}",
        '{"zone":"row"}',
        '{"zone":"row","number":1,"more":1}',
        '{"zone":"row","number":"one"}',
        '{"zone":1,"number":1}',
        '{"zone":{"N":"1"},"number":{"N":"1"}}',
        '{"zone":{"S":"row"},"number":{"N":"x"}}',
        '{"zone":null,"number":1}',
        '{"zone":"row","number":1',
        '{"zone":"\\ud800","number":1}',
    ],
)
def test_wrong_keys(scene: Scene, feed: Feed, text: str) -> None:
    for words in (
        ["history", scene.table, text],
        ["show", scene.table, text, "--at", str(T)],
        ["restore", scene.table, "--at", str(T), "--to-file", "out", "--key", text],
    ):
        ran = scene.call(*words)
        assert (ran.code, ran.out) == (2, ""), ran.err
        assert "A key of this table looks like" in ran.err
    assert feed.model.at(T)


# --- reports ----------------------------------------------------------------------------------------------------------------------


def test_init_says_what_it_did(scene: Scene) -> None:
    scene.create()
    refused = scene.call("init", scene.table)
    assert (refused.code, "--enable-stream" in refused.err) == (4, True)
    missing = scene.call("init", scene.table + "-none", "--enable-stream")
    assert (missing.code, len(missing.err.splitlines())) == (1, 2)
    ran = scene.call("init", scene.table, "--enable-stream", "--json")
    assert (ran.code, ran.err, ran.json()["created"]) == (0, "", True)
    again = scene.call("init", scene.table, "--json").json()
    assert (again["created"], again["changes"]) == (False, [])
    other = scene.call("init", scene.table, "--layout", "log", "--naming", "plain")
    assert (other.code, "from now on" in other.out) == (0, True)
    assert "rows $5.45 per million changes captured" in other.out
    assert "log $0.05 per million changes captured" in other.out
    made = scene.call("init", scene.table, "--create-bucket", "--vault", f"s3://{scene.bucket}-made/x")
    assert made.code == 0, made.err
    assert scene.aws.client("s3").get_bucket_versioning(Bucket=f"{scene.bucket}-made")["Status"] == "Enabled"


def test_tail_brings_the_vault_up_to_the_table_and_says_so(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(image("row", 1))
    ran = scene.run("tail", scene.table, "--until-caught-up", "--json")
    assert (ran.code, ran.json()["captured"]) == (0, 1), ran.err
    assert "following" in ran.err
    assert scene.call("history", scene.table, ROW, "--json").json()[0]["event"] == "INSERT"


def test_history(scene: Scene, feed: Feed) -> None:
    ran = scene.call("history", scene.table, ROW, "--json")
    versions = ran.json()
    assert (ran.code, ran.err.count("\n")) == (0, 1)
    assert ran.err.startswith("note: the vault is sure to hold "), "how fresh it is"
    assert all(set(each) == HISTORY_FIELDS for each in versions)
    assert [each["event"] for each in versions] == ["INSERT", "MODIFY", "REMOVE"]
    assert [each["time"] for each in versions] == [moment.iso(T), moment.iso(T + 10), moment.iso(T + 20)]
    assert [each["image"] and each["image"]["v"]["S"] for each in versions] == ["first :smile: [bold]", "second", None]
    assert [each["actor"] for each in versions] == [None] * 3
    assert [int(each["sequence"]) for each in versions] == sorted(int(each["sequence"]) for each in versions)

    people = scene.call("history", scene.table, '{"zone":"row","number":1.0}')
    assert "first :smile: [bold]" in people.out, "data is not markup"
    assert moment.iso(T + 20) in people.out
    difference = scene.call("history", scene.table, ROW, "--diff").out
    assert '+more={"BOOL":true}' in difference
    assert 'v: {"S":"first :smile: [bold]"} -> {"S":"second"}' in difference
    assert '-v={"S":"second"}' in difference

    never = scene.call("history", scene.table, key("never", 1).decode(), "--json")
    assert (never.code, never.json()) == (1, [])
    assert "never seen" in never.err
    assert feed.model.at(T)


def test_show(scene: Scene, feed: Feed) -> None:
    ran = scene.run("show", scene.table, ROW, "--at", str(T + 5), "--json")
    assert (ran.code, ran.err, ran.json()["v"]) == (0, "", {"S": "first :smile: [bold]"})
    assert json.loads(scene.call("show", scene.table, ROW, "--at", moment.iso(T + 15)).out)["v"] == {"S": "second"}
    for at, why in ((T - 1, "it was first seen at"), (T + 20, "it was deleted at")):
        gone = scene.call("show", scene.table, ROW, "--at", str(at), "--json")
        assert (gone.code, gone.out, why in gone.err) == (1, "", True)
    assert feed.model.at(T)


def test_status(scene: Scene, feed: Feed) -> None:
    ran = scene.call("status", scene.table, "--json")
    status = ran.json()
    assert (ran.code, ran.err) == (0, "")
    assert set(status) >= STATUS_FIELDS
    assert (status["table"], status["layout"], status["gaps"], status["last_drill"]) == (scene.table, "rows", [], None)
    assert (status["window_from"], status["window_to"]) == (moment.iso(T - 600), moment.iso(NOW - 60))
    assert status["lag_seconds"] >= 60
    (again,) = scene.call("status", "--json").json()
    assert again == {**status, "lag_seconds": again["lag_seconds"]}
    assert again["lag_seconds"] >= status["lag_seconds"]
    people = scene.call("status").out
    assert f"{moment.iso(T - 600)} to {moment.iso(NOW - 60)}" in people
    empty = scene.call("status", "--vault", f"s3://{scene.bucket}/elsewhere", "--json")
    assert (empty.code, empty.json()) == (0, [])
    unknown = scene.call("status", scene.table + "-unknown")
    assert (unknown.code, f"The vault holds {scene.table!r}." in unknown.err) == (1, True)
    assert feed.model.at(T)


def test_both_layouts_costs_by_the_segments_that_are_there(scene: Scene, feed: Feed) -> None:
    status = scene.call("status", scene.table, "--json").json()
    rows, log = status["costs"]
    assert (rows["layout"], log["layout"]) == ("rows", "log")
    holding = sum(1 for each in feed.vault.log.listing() if each.segment is not None and each.segment.count)
    assert log["capture"] == pytest.approx(5.0 * holding / status["changes"], abs=1e-5)
    assert rows["capture"] == pytest.approx(5.4 + log["capture"], abs=1e-5)
    people = scene.call("status", scene.table).out
    assert f"rows ${rows['capture']:.3g} per million changes captured" in people
    assert f"log ${log['capture']:.3g} per million changes captured" in people


def test_restore_reports_and_a_dry_run_reports_the_same(scene: Scene, feed: Feed) -> None:
    scene.create()
    scene.put(image("row", 1, v={"S": "ruined"}), image("other", 3), image("new", 1))
    dry = restore(scene, "--in-place", "--dry-run", "--json")
    assert (dry.code, dry.err) == (0, "")
    assert "\x1b" not in dry.out + dry.err
    report = dry.json()
    assert set(report) >= RESTORE_FIELDS
    assert {name: report[name] for name in RESTORE_FIELDS - {"seconds"}} == {
        "table": scene.table,
        "at": moment.iso(T),
        "target": scene.table,
        "put": 20,
        "deleted": 1,
        "unchanged": 1,
        "failed": 0,
        "dry_run": True,
    }
    people = restore(scene, "--in-place", "--dry-run").out
    assert re.search(r"would be put +20\n", people)
    done = restore(scene, "--in-place", "--yes", "--json")
    assert done.json()["undo"].startswith(f"backstream restore {scene.table} --undo ")
    assert {**done.json(), "seconds": 0, "undo": None} == {**report, "seconds": 0, "dry_run": False}
    assert same(scene.items(), feed.model.at(T))
    to_file = restore(scene, "--to-file", "out", "--json").json()
    assert (to_file["target"], to_file["put"]) == ("out", 21)
    assert scene.folder / "out" in scene.folder.iterdir()


# --- where things come from -------------------------------------------------------------------------------------------------------


def test_the_vault_is_an_option_or_of_the_environment(scene: Scene, feed: Feed) -> None:
    none = scene.call("status", environment={"BACKSTREAM_VAULT": ""})
    assert (none.code, "--vault" in none.err, "BACKSTREAM_VAULT" in none.err) == (2, True, True)
    wrong = {"BACKSTREAM_VAULT": "s3://nobodys-bucket/x"}
    assert scene.call("status", scene.table, "--vault", scene.url, environment=wrong).code == 0, "the option comes first"
    assert feed.model.at(T)


def test_a_folder_is_a_vault(scene: Scene) -> None:
    vault = f"file://{scene.folder}/a%20vault"
    scene.create()
    ran = scene.call("init", scene.table, "--enable-stream", "--create-bucket", "--vault", vault)
    assert ran.code == 0, ran.err
    scene.url = vault
    scene.put(image("row", 1))
    scene.tail()
    assert (scene.folder / "a vault").is_dir()
    assert len(scene.call("history", scene.table, ROW, "--json").json()) == 1
    assert scene.call("restore", scene.table, "--at", "now", "--to-file", "out").code == 0
    assert len(file_items(scene.folder / "out")) == 1


# --- in place ---------------------------------------------------------------------------------------------------------------------


def test_in_place_is_not_done_unasked_off_a_terminal(scene: Scene, feed: Feed) -> None:
    scene.create()
    refused = restore(scene, "--in-place", "--json")
    assert (refused.code, refused.out) == (4, "")
    assert "--dry-run" in refused.err
    assert "--yes" in refused.err
    assert scene.items() == {}
    assert feed.model.at(T)


def on_a_terminal(scene: Scene, answer: str) -> Ran:
    """`restore --in-place` by somebody who answers the question."""
    ours, theirs = pty.openpty()
    words = [COMMAND, "restore", scene.table, "--at", str(T), "--in-place", "--json"]
    environment = {**os.environ, **scene.environment, "BACKSTREAM_VAULT": scene.url, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        words, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment, cwd=scene.folder, text=True
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    said: list[bytes] = []

    def read() -> None:
        """A terminal that nobody reads is full soon."""
        with contextlib.suppress(OSError):  # Linux's way to say that the other side has closed
            while chunk := os.read(ours, 65_536):
                said.append(chunk)

    reading = threading.Thread(target=read)
    reading.start()
    out, _ = process.communicate(timeout=240)
    reading.join(240)
    os.close(ours)
    return Ran(process.returncode, out, b"".join(said).decode())


def test_the_second_that_was_agreed_to_is_the_one_that_is_restored(
    scene: Scene, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`1h ago` meant another second by the time the answer was there."""
    asked: list[str] = []

    def answer_a_second_later(question: str) -> None:
        asked.append(question)
        began = int(time.time())
        while int(time.time()) <= began:
            time.sleep(0.05)

    monkeypatch.setattr(one, "need_terminal", lambda *_: None)
    monkeypatch.setattr(one, "confirm", answer_a_second_later)
    scene.create()
    ran = scene.call("restore", scene.table, "--at", "3590s ago", "--in-place", "--json")
    assert (ran.code, ran.json()["put"]) == (0, len(scene.items())), ran.err
    assert feed.model.at(T)
    assert asked == [f"Bring {scene.table} back to {ran.json()['at']} in place (puts and deletes)?"]


def test_on_a_terminal_it_asks_and_shows_how_far_it_is(scene: Scene, feed: Feed) -> None:
    scene.create()
    said_no = on_a_terminal(scene, "n\n")
    assert (said_no.code, said_no.out, scene.items()) == (4, "", {})
    assert f"Bring {scene.table} back to {moment.iso(T)} in place" in said_no.err
    said_yes = on_a_terminal(scene, "y\n")
    assert (said_yes.code, said_yes.json()["put"]) == (0, 21), said_yes.err
    assert "\x1b[" in said_yes.err, "a bar, on a terminal only"
    assert "\x1b" not in said_yes.out
    assert same(scene.items(), feed.model.at(T))


# --- when it goes wrong -----------------------------------------------------------------------------------------------------------


def test_a_traceback_only_on_demand(scene: Scene) -> None:
    for words in (["status", "unknown"], ["status", "unknown", "--debug"], ["--debug", "status", "unknown"]):
        ran = scene.run(*words)
        assert (ran.code, ran.out) == (1, "")
        assert ("Traceback" in ran.err) is ("--debug" in words)
        assert "error: " in ran.err


IN_A_FINALIZER = """
import os, signal, sys, time
from backstream.apps.cli.main import listen

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(1_000):
            pass

listen()
try:
    Finalized()
    time.sleep(20)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_finalizer_is_not_swallowed(number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_FINALIZER, str(int(number))], capture_output=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (130, b""), "one that is swallowed sleeps for its twenty seconds, and ends well"


WHILE_IT_ENDS = """
import os, sys
from backstream.apps.cli.main import run
class Late:
    def __del__(self, kill=os.kill, process=os.getpid(), number=int(sys.argv[1])):
        kill(process, number)
late = Late()  # goes with its module, when Python has given the signals back
sys.argv[1:] = ["no-such-command"]
run()
"""


def test_a_signal_while_a_failed_command_ends_changes_no_exit_code() -> None:
    words = [sys.executable, "-c", WHILE_IT_ENDS, str(int(signal.SIGTERM))]
    done = subprocess.run(words, capture_output=True, timeout=240, check=False)
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_stopped_it_leaves_no_half_file(scene: Scene, feed: Feed, slow_s3: Hold, number: signal.Signals) -> None:
    feed.put(T, *(image("many", each) for each in range(300)))
    feed.deliver()
    process = scene.start("restore", scene.table, "--at", str(T), "--to-file", "out")
    with slow_s3.caught():
        wait_for(lambda: [*scene.folder.glob(".out.*.partial")])
        process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out) == (130, ""), err
    assert err == "stopped: nothing stays behind\n"
    assert not list(scene.folder.iterdir())


@pytest.mark.parametrize("words", [["--to-file", "out"], ["--in-place", "--yes"]])
def test_stopped_as_soon_as_its_file_is_there_it_leaves_none(
    scene: Scene, feed: Feed, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sees the file may stop the restore before that knows of it itself."""
    create = private_files.create

    def stopped(path: Path) -> BinaryIO:
        file = create(path)
        if path.suffix == ".partial":
            file.close()
            raise KeyboardInterrupt
        return file

    scene.create()
    scene.put(*feed.model.at(T).values())
    monkeypatch.setattr(private_files, "create", stopped)
    ran = scene.call("restore", scene.table, "--at", str(T + 10), *words)
    assert (ran.code, ran.err) == (130, "stopped: nothing stays behind\n")
    assert not list(scene.folder.iterdir())


def test_stopped_in_the_middle_of_a_new_table_it_says_what_stays(scene: Scene, feed: Feed, slow_s3: Hold) -> None:
    feed.put(T, *(image("many", each) for each in range(600)))
    feed.deliver()
    new = scene.table + "-new"
    process = scene.start("restore", scene.table, "--at", str(T), "--to", new)
    client = scene.aws.client("dynamodb")
    with slow_s3.caught():
        wait_for(lambda: new in client.list_tables()["TableNames"] and scene.items(new))
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert f"stopped: resume with: backstream restore {scene.table} --resume" in err
    assert 0 < len(scene.items(new)) < 621
    ran = scene.run("restore", scene.table, "--resume", err.split()[-1], "--json")
    assert ran.code == 0, ran.err
    assert len(scene.items(new)) == 621
