"""One `tail` of many tables: nothing lost in any of them, and a fault in one is nobody else's."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from unittest.mock import patch

import pytest

from backstream.apps.config import Config
from backstream.clock import SystemClock
from backstream.errors import BackstreamError, NotFound, Refused
from backstream.operations.capture.many_tails import ManyTails
from backstream.operations.capture.shards import Share
from backstream.operations.capture.tail import TailReport
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Put
from backstream.stores.directory import DirectoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from benchmarks.many_tables import resident
from kit.clock import ManualClock
from kit.images import SCHEMA, image
from kit.scene import Scene
from kit.streams_server import StreamsServer

SECONDS = 30  # of steady writing

# --- who is followed, on a clock of its own ---------------------------------------------------------------------------------------


class Followed:
    """Tails that do nothing but wait for their stop signal, and a selection that changes."""

    def __init__(self, *selections: Sequence[str]) -> None:
        self.selections: Iterator[Sequence[str]] = iter(selections)
        self.now: Sequence[str] = ()
        self.stop = threading.Event()
        self.begun: Counter[str] = Counter()
        self.ended: set[str] = set()
        self.told: list[str] = []
        self.faults: dict[str, list[BackstreamError]] = {}
        self.enough: Callable[[], bool] = lambda: True

    def select(self) -> Iterable[str]:
        self.now = next(self.selections, self.now)
        return self.now

    def run(self, table: str, stop: threading.Event, share: Share) -> TailReport:
        assert share.turns > 0
        self.begun[table] += 1
        if self.faults.get(table):
            raise self.faults[table].pop()
        if self.enough():
            self.stop.set()
        stop.wait(240)
        self.ended.add(table)
        return TailReport(table, 1, 0, None, caught_up=False, ended=False)

    def follow(self, *, until_caught_up: bool = False) -> dict[str, tuple[int, bool]]:
        """The exit code of each table, and whether it is gone."""
        tails = ManyTails(self.select, self.run, ManualClock(), self.stop, self.told.append)
        results = tails.run(until_caught_up=until_caught_up)
        return {each.table: (0 if each.error is None else each.error.exit_code, each.gone) for each in results}


def test_a_fault_in_one_is_told_and_tried_again_and_the_others_go_on() -> None:
    stage = Followed(["one", "bad", "three"])
    stage.faults = {"bad": [Refused("the stream of bad is off"), Refused("the stream of bad is off")]}
    stage.enough = lambda: stage.begun["bad"] == 3
    assert stage.follow() == {"one": (0, False), "bad": (0, False), "three": (0, False)}
    assert stage.begun == {"one": 1, "bad": 3, "three": 1}
    assert stage.told == ["error: bad: the stream of bad is off"] * 2


def test_a_fault_that_stays_is_in_the_exit_code() -> None:
    stage = Followed(["bad", "one"])
    stage.faults = {"bad": [Refused("off")] * 5}
    assert stage.follow()["bad"] == (4, False)
    assert stage.ended == {"one"}


def test_tables_come_and_go_while_it_runs() -> None:
    stage = Followed(["one", "two"], ["two", "new"])
    stage.enough = lambda: stage.begun["new"] == 1
    assert stage.follow() == {"one": (0, True), "two": (0, False), "new": (0, False)}
    assert stage.begun == {"one": 1, "two": 1, "new": 1}
    assert stage.told == [
        "new: is new in the selection, and followed from now on",
        "one: is gone from the selection, and not followed any more",
    ]


def test_a_selection_that_cannot_be_seen_changes_nothing_() -> None:
    stage = Followed()
    answers: Iterator[Sequence[str] | BackstreamError] = iter([["one"], NotFound("no vault"), NotFound("no vault"), ["one", "two"]])

    def select() -> Iterable[str]:
        answer = next(answers)
        if isinstance(answer, BackstreamError):
            raise answer
        return answer

    stage.select = select  # type: ignore[method-assign]
    stage.enough = lambda: stage.begun["two"] == 1
    assert stage.follow() == {"one": (0, False), "two": (0, False)}
    assert [text for text in stage.told if "cannot be looked at" in text] == [
        "the selection of tables cannot be looked at: no vault"
    ]


def test_a_defect_of_one_is_not_swallowed() -> None:
    stage = Followed(["one"])
    stage.run = lambda *_: 1 / 0  # type: ignore[assignment, method-assign]
    with pytest.raises(ZeroDivisionError):
        stage.follow(until_caught_up=True)


# --- on real servers --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(scene: Scene, table_name: str) -> list[str]:
    """Three tables that the vault knows."""
    return made(scene, [f"{table_name}-{number}" for number in range(3)])


def made(scene: Scene, tables: Sequence[str], *words: str) -> list[str]:
    for table in tables:
        scene.create(table)
    ran = scene.call("init", *tables, "--enable-stream", *words)
    assert ran.code == 0, ran.err
    return list(tables)


def test_one_command_follows_all_and_a_table_whose_stream_is_off_is_the_exit_code(scene: Scene, several: list[str]) -> None:
    for table in several:
        scene.live(table).write([Put(image(table, number)) for number in range(5)])
    ran = scene.call("tail", *several, "--until-caught-up", "--json")
    assert ran.code == 0, ran.err
    assert [(each["table"], each["captured"], each["caught_up"]) for each in ran.json()] == [(table, 5, True) for table in several]
    scene.aws.client("dynamodb").update_table(TableName=several[1], StreamSpecification={"StreamEnabled": False})
    scene.live(several[2]).write([Put(image(several[2], 9))])
    ran = scene.call("tail", "--all", "--until-caught-up", "--json")
    assert ran.code == 4
    assert f"error: {several[1]}: the stream of {several[1]} is off" in ran.err
    told = {each["table"]: each for each in ran.json()}
    assert told[several[2]]["captured"] == 1
    assert told[several[1]]["error"]["exit_code"] == 4
    ran = scene.call("tail", several[0], f"{several[0]}-none", "--until-caught-up")
    assert ran.code != 0
    assert f"{several[0]}-none" in ran.err


@pytest.mark.parametrize(
    ("tables", "batches", "kills"), [(4, 6, 1), pytest.param(40, 100, 8, marks=[pytest.mark.soak, pytest.mark.timeout(1_800)])]
)
def test_nothing_is_lost_in_any_table_kills_included(scene: Scene, table_name: str, tables: int, batches: int, kills: int) -> None:
    """Each table against a model of its own: the changes that were made, each once."""
    names = made(scene, [f"{table_name}-{number:02}" for number in range(tables)], "--layout", "log")
    model: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in names}
    selection = ("--match", f"{table_name}-*")

    def write(name: str) -> None:
        rows = random.Random(name)
        live = scene.live(name)
        for turn in range(batches):
            chosen = rows.sample(range(40), 25)
            live.write([Put(image("row", row, v={"N": str(turn)})) for row in chosen])
            model[name].update((str(row), str(turn)) for row in chosen)

    with ThreadPoolExecutor(min(8, tables)) as pool:
        writing = [pool.submit(write, name) for name in names]
        for _ in range(kills):
            running = scene.start("tail", *selection, "--log", "json")
            assert running.stderr is not None
            next((line for line in running.stderr if line.startswith("{")), "")  # a segment is in the vault
            running.send_signal(signal.SIGKILL)
            running.communicate()
        for each in writing:
            each.result()
    ran = scene.call("tail", *selection, "--until-caught-up", "--json")
    assert ran.code == 0, ran.err
    assert {each["table"] for each in ran.json()} == set(names)
    for name in names:
        assert kept(scene, name) == model[name], name


@pytest.mark.soak
def test_forty_idle_tables_are_small_and_each_more_one_hardly_counts(scene: Scene, table_name: str) -> None:
    names = made(scene, [f"{table_name}-{number:02}" for number in range(60)])
    fewer, more = (memory_of_tail(scene, each) for each in (names[:40], names))
    assert fewer <= 120
    assert (more - fewer) / 20 <= 3


def memory_of_tail(scene: Scene, tables: Sequence[str]) -> float:
    """Returns the MB that one tail takes, once it has kept a change of each table."""
    running = scene.start("tail", *tables, "--log", "json")
    for table in tables:
        scene.live(table).write([Put(image(table, len(tables)))])
    assert running.stderr is not None
    waiting = set(tables)
    while waiting:
        line = running.stderr.readline()
        assert line, "the tail has ended"
        waiting -= {json.loads(line)["table"]} if line.startswith("{") else set()
    memory = resident(running.pid)
    running.send_signal(signal.SIGTERM)
    said = running.communicate()[1]
    assert running.returncode == 0, said
    return memory


@pytest.mark.soak
def test_two_thousand_changes_a_second_are_kept_kills_included(scene: Scene, table_name: str) -> None:
    """Forty tables of fifty changes a second each, for half a minute. ministack is too slow for it: the streams are served here."""
    clock = SystemClock()
    tables = [MemoryTable(f"{table_name}-{number:02}", clock, SCHEMA) for number in range(40)]
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    for each in tables:
        each.enable_stream()
        init(DirectoryStore(scene.folder / "vault", clock), each, InitOptions(layout=Layout.LOG))
    model: dict[str, Counter[tuple[str, str]]] = {each.name: Counter() for each in tables}
    killed = threading.Event()
    with StreamsServer(tables[0], clock, others=tables[1:]) as server, ThreadPoolExecutor(1) as pool:
        for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"):
            scene.environment[name] = server.url
        writing = pool.submit(steadily, tables, model, clock, killed)
        for _ in range(4):
            running = scene.start("tail", "--all", "--log", "json")
            assert running.stderr is not None
            seen = {json.loads(line)["table"] for line in islice((each for each in running.stderr if each.startswith("{")), 80)}
            running.send_signal(signal.SIGKILL)
            said = running.communicate()[1]
            assert len(seen) > 20, said
        killed.set()
        writing.result()
        ran = scene.run("tail", "--all", "--until-caught-up", "--json")
    assert ran.code == 0, ran.err
    for each in tables:
        assert kept(scene, each.name) == model[each.name], each.name


def steadily(
    tables: Sequence[MemoryTable], model: dict[str, Counter[tuple[str, str]]], clock: SystemClock, killed: threading.Event
) -> None:
    """Writes fifty rows into each table in each second, for half a minute at least. On a busy machine a second takes longer."""
    for turn in count():
        if turn >= SECONDS and killed.is_set():
            return
        ends = clock.now() + 1
        for table in tables:
            rows = [(str(row), f"{turn}") for row in range(50)]
            for some in (rows[:25], rows[25:]):
                assert not table.write([Put(image("row", row, v={"N": version})) for row, version in some])
            model[table.name].update(rows)
        clock.sleep(max(0.0, ends - clock.now()))


def kept(scene: Scene, name: str) -> Counter[tuple[str, str]]:
    """The changes that the vault holds of a table: what was written again after a kill counts once."""
    with patch.dict(os.environ, scene.environment):
        log = Config(scene.url).vault(name).log
        listed = [each for each in log.listing() if each.segment is not None and each.segment.count]
        images = {entry.sequence: json.loads(entry.image) for each in listed for entry in log.read(each) if entry.image}
    return Counter((item["number"]["N"], item["v"]["N"]) for item in images.values())
