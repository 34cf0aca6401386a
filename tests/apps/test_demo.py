"""`backstream demo`: it shows what it promises, fails loudly where it must, and leaves nothing behind however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from backstream.apps.demo import flights, proof
from backstream.errors import DifferencesFound, Failed
from kit.demo_place import DEMO, STOPPED, Place

# What the commands say of themselves on stderr: the ways on and back of the restore, and how fresh a history is.
EXPECTED = ("if this is interrupted, ", "To take back what it wrote, ", "note: the vault is sure to hold ")

# --- the command, from the outside ---------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place of this test's own."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("whose child a process was can only be seen in Linux's /proc")
    return Place(tmp_path)


@pytest.fixture
def demo_in_the_middle(place: Place) -> Iterator[subprocess.Popen[str]]:
    """A demo in the morning of its day: servers, tail and writer are at work."""
    with subprocess.Popen(DEMO, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            assert demo.stdout is not None
            assert any(line.startswith("   06:00") for line in demo.stdout), "the day never came to its morning"
            assert len(place.processes()) >= 3
            assert place.files()
            yield demo
        finally:
            demo.kill()


@pytest.mark.timeout(900)
def test_every_row_comes_back_and_nothing_stays_behind(place: Place) -> None:
    demo = subprocess.run(DEMO, env=place.environment, capture_output=True, text=True, timeout=880, check=False)
    said = [line for line in demo.stderr.splitlines() if not line.startswith(EXPECTED)]
    assert (demo.returncode, said) == (0, [])
    assert "All 930 rows are back, byte for byte. None is missing, none is too many." in demo.stdout
    assert 'status: {"S":"delayed"} -> {"S":"departed"}' in demo.stdout
    assert "put        726\ndeleted    12\nunchanged  204\nfailed     0\n" in demo.stdout
    assert "items         125\nchanges       125\nby event      MODIFY 107, REMOVE 15, INSERT 3\n" in demo.stdout
    assert "put back   15\nupdated    107\ndeleted    3\nunchanged  0\nconflicts  0\nfailed     0\n" in demo.stdout
    assert "The 125 rows are back, and every booking is still there, byte for byte." in demo.stdout
    # 930 announced, 1,507 events, 738 ruined and 738 repaired; 125 ruined and undone, and 36 of passengers
    assert "4,199 changes captured" in demo.stdout
    assert not place.processes()
    assert not place.files()


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle(place: Place, demo_in_the_middle: subprocess.Popen[str], number: signal.Signals) -> None:
    demo_in_the_middle.send_signal(number)
    said, _ = demo_in_the_middle.communicate(timeout=240)
    assert demo_in_the_middle.returncode == STOPPED
    assert said.endswith("stopped: the servers are ended, nothing stays behind\n")
    assert not place.processes()
    assert not place.files()


@pytest.mark.soak
def test_killed_in_the_middle(place: Place, demo_in_the_middle: subprocess.Popen[str]) -> None:
    demo_in_the_middle.kill()
    demo_in_the_middle.wait(timeout=240)
    _soon(lambda: not place.processes() and not place.files())


def test_a_row_that_does_not_come_back_is_exit_code_3() -> None:
    script = """
import sys
from backstream.apps.demo import proof, story
from backstream.apps.entry import main
row = {"flight": {"S": "DL2003"}, "scheduled": {"S": "2013-02-08T07:00"}, "dep_delay": {"N": "273"}}
story.tell = lambda: proof.prove(proof.copy_of([row]), proof.copy_of([{**row, "dep_delay": {"N": "0"}}]))
sys.argv[1:] = ["demo"]
main()
"""
    demo = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert demo.returncode == 3
    assert 'different {"flight":"DL2003","scheduled":"2013-02-08T07:00"}' in demo.stderr


def _soon(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, "still not so after minutes"
        time.sleep(0.1)


# --- the proof ------------------------------------------------------------------------------------------------------------------


def _row(flight: str, **news: dict[str, str | bool]) -> dict[str, object]:
    return {"flight": {"S": flight}, "scheduled": {"S": "2013-02-08T07:00"}, "distance": {"N": "1096"}, **news}


BEFORE = proof.copy_of([_row("A1"), _row("A2"), _row("A3")])


def test_the_proof_accepts_the_same_rows_in_any_order() -> None:
    shuffled = [dict(reversed(row.items())) for row in (_row("A3"), _row("A1"), _row("A2"))]
    now = proof.copy_of(shuffled)
    proof.prove(BEFORE, now)
    assert now.sha256 == BEFORE.sha256


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        pytest.param([_row("A1"), _row("A3")], "missing", id="a row is missing"),
        pytest.param([_row("A1"), _row("A3"), _row("A2"), _row("A4")], "extra", id="a row is too many"),
        pytest.param([_row("A1"), _row("A3"), _row("A2", distance={"N": "1096.0"})], "different", id="a number's text"),
        pytest.param([_row("A1"), _row("A3"), _row("A2", distance={"S": "1096"})], "different", id="a type"),
        pytest.param([_row("A1"), _row("A3"), _row("A2", status={"NULL": True})], "different", id="an attribute more"),
    ],
)
def test_the_proof_names_what_differs(damaged: list[dict[str, object]], named: str) -> None:
    now = proof.copy_of(damaged)
    flight = "A4" if named == "extra" else "A2"
    with pytest.raises(DifferencesFound) as caught:
        proof.prove(BEFORE, now)
    assert caught.value.exit_code == 3
    assert (
        caught.value.message == f'rows that are not as they were: 1\n{named} {{"flight":"{flight}","scheduled":"2013-02-08T07:00"}}'
    )
    assert now.sha256 != BEFORE.sha256


def test_the_proof_names_the_first_of_many() -> None:
    with pytest.raises(DifferencesFound) as caught:
        proof.prove(proof.copy_of(_row(f"A{number}") for number in range(50)), proof.copy_of([]))
    assert caught.value.message.startswith("rows that are not as they were: 50\nmissing ")
    assert caught.value.message.endswith("... and 30 more")
    assert caught.value.message.count("missing") == proof.NAMED


# --- the data -------------------------------------------------------------------------------------------------------------------


def test_the_day_is_what_the_demo_says_it_is() -> None:
    day = flights.rows()
    items = [flights.published(row) for row in day]
    assert len(items) == len({proof.key_of(item) for item in items}) == 930
    assert Counter(event.status for event in flights.events(day)) == {
        "cancelled": 472,
        "delayed": 122,
        "departed": 458,
        "arrived": 455,
    }


def test_events_come_in_the_clocks_order_and_in_each_flights_own() -> None:
    day = flights.rows()
    events = flights.events(day)
    assert [event.minute for event in events] == sorted(event.minute for event in events)
    states = {proof.key_of(flights.published(row)): "scheduled" for row in day}
    for event in events:
        key = proof.key_of(event.key)
        assert states[key] == event.was
        states[key] = event.status


def test_one_flights_life() -> None:
    life = [event for event in flights.events(flights.rows()) if event.key["flight"] == {"S": "DL2003"}]
    assert [(event.minute, event.status, event.news) for event in life] == [
        (7 * 60 + 15, "delayed", {}),
        (11 * 60 + 33, "departed", {"dep_time": {"S": "11:33"}, "dep_delay": {"N": "273"}}),
        (14 * 60 + 10, "arrived", {"arr_time": {"S": "14:48"}, "arr_delay": {"N": "269"}, "air_time": {"N": "157"}}),
    ]


def test_without_the_data_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_found(_: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(flights, "find_spec", nothing_found)
    with pytest.raises(Failed) as caught:
        flights.rows()
    assert caught.value.hint == "pip install 'backstream[local]'"
