"""What an item, an object's name or an error can do to an operator's terminal: nothing."""

from __future__ import annotations

import io
import json
import resource
import sys
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli import screen
from backstream.apps.cli.main import call
from backstream.apps.pages.drill import page
from backstream.stores.directory import DirectoryStore
from kit import drills
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import image

AT = 1_763_900_000
NASTY = "\x1b[2K\r\x9b1A\u202eevil\u2066\u200b\x7f\n[bold]:smile:"
FORBIDDEN = set("\x1b\x9b\r\x7f\u202e\u2066\u200b")
KEY = json.dumps({"zone": {"S": NASTY}, "number": {"N": "1"}})


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store = DirectoryStore(tmp_path, ManualClock(AT))
    feed = Feed(store, "flights", began=AT - 600)
    feed.put(AT - 100, image(NASTY, 1, **{NASTY: {"S": NASTY}}))
    feed.put(AT - 90, image(NASTY, 1, **{f"more{NASTY}": {"N": "1"}}))
    feed.deliver()
    store.put(f"_backstream/flights/log/{NASTY}", b"no segment")
    return store.url


def said(capfdbinary: pytest.CaptureFixture[bytes], vault: str, *words: str) -> tuple[int, str, str]:
    code = call([*words, "--vault", vault])
    out, err = capfdbinary.readouterr()
    return code, out.decode(), err.decode()


@pytest.mark.parametrize(
    "words",
    [
        ("history", "flights", KEY, "--diff"),
        ("history", "flights", KEY),
        ("history", "flights", KEY, "--diff", "--allow-gap"),
        ("show", "flights", KEY, "--at", str(AT - 95), "--allow-gap"),
        ("show", "flights", KEY, "--at", str(AT - 95)),
        ("show", "flights", KEY, "--at", NASTY),
        ("status", "flights"),
        ("restore", "flights", "--at", str(AT), "--to-file", "-", "--dry-run"),
        (NASTY,),
        ("history", NASTY, KEY),
        ("changes", "flights", "--from", str(AT - 200), "--to", str(AT), "--allow-gap"),
        ("changes", "flights", "--from", str(AT - 200), "--to", str(AT), "--allow-gap", "--summary"),
        ("sql", "flights", "SELECT * FROM changes", "--allow-gap", "--skip-damaged"),
        ("sql", "flights", "SELECT * FROM changes", "--allow-gap", "--skip-damaged", "--json"),
        ("sql", "flights", f"SELECT '{NASTY}'"),
        ("check", "flights"),
        ("status",),
        ("retain", "flights", "--keep", "1d", "--dry-run"),
        ("erase", "flights", "--key", KEY, "--reason", "x", "--dry-run"),
        ("revert", "flights", "--from", str(AT - 95), "--to", str(AT), "--dry-run", "--allow-gap"),
        ("group", NASTY),
        ("status", "--group", NASTY),
        ("status", "--match", NASTY),
        ("restore", "flights", "--from-file", NASTY, "--to-file", "out"),
        ("export", "flights", "--to", f"file:///nowhere/{NASTY}", "--format", "parquet", "--at", str(AT)),
        ("blame", "flights", "--cloudtrail", NASTY),
    ],
)
def test_nothing_reaches_the_terminal_as_it_is(
    capfdbinary: pytest.CaptureFixture[bytes], vault: str, words: tuple[str, ...]
) -> None:
    _, out, err = said(capfdbinary, vault, *words)
    assert not (set(out) | set(err)) & FORBIDDEN
    assert not [each for each in (out + err).splitlines() if each.startswith("[bold]")], "no line of a name's own"


def told(capfdbinary: pytest.CaptureFixture[bytes], vault: str, *words: str) -> str:
    """What a command says where the log holds an object that nobody knows: nothing until `--allow-gap`, which exits 1."""
    assert said(capfdbinary, vault, *words)[:2] == (4, "")
    code, out, err = said(capfdbinary, vault, *words, "--allow-gap")
    assert code == 1
    assert "a foreign object in the change log" in err
    return out


def test_a_diff_shows_the_change_itself(capfdbinary: pytest.CaptureFixture[bytes], vault: str) -> None:
    out = told(capfdbinary, vault, "history", "flights", KEY, "--diff")
    assert r"\u001B[2K\u000D\u009B1A\u202Eevil\u2066\u200B\u007F" in out
    assert "[bold]:smile:" in out


def test_json_stays_json(capfdbinary: pytest.CaptureFixture[bytes], vault: str) -> None:
    out = told(capfdbinary, vault, "history", "flights", KEY, "--json")
    assert json.loads(out)[0]["image"][NASTY] == {"S": NASTY}
    out = told(capfdbinary, vault, "show", "flights", KEY, "--at", str(AT - 95))
    assert json.loads(out)[NASTY] == {"S": NASTY}


class Terminal(io.TextIOWrapper):
    """A stdout that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_lines_of_data_are_visible_on_a_terminal_and_exact_elsewhere(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, vault: str
) -> None:
    """CSV has no escapes: a pipe gets what is there."""
    query = ["sql", "flights", f"SELECT 1 AS a, '{NASTY}' AS b", "--csv"]
    _, out, _ = said(capfdbinary, vault, *query)
    assert out == f'a,b\r\n1,"{NASTY}"\r\n', "a pipe"
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(shown, write_through=True))
    assert call([*query, "--vault", vault]) == 0
    text = shown.getvalue().decode()
    assert text.split("\n")[:2] == ["a,b", r'1,"\u001B[2K\u000D\u009B1A\u202Eevil\u2066\u200B\u007F\u000A[bold]:smile:"']
    assert not set(text) & FORBIDDEN
    item = {"v": {"S": NASTY}}
    lines = screen.data_output()
    lines.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")
    assert json.loads(shown.getvalue().decode().split("\n")[-2]) == item


@pytest.mark.parametrize("name", ["x", "dt=2025-11-23/x", "dt=2025-11-23/hour=12/x"])
@pytest.mark.parametrize("form", ["--json", "--ndjson", "--net", "--summary", ""])
def test_an_object_among_the_findings_of_blame_ends_no_list_of_changes(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, vault: str, name: str, form: str
) -> None:
    """It is refused, with nothing on stdout that is no JSON; with `--allow-gap` it is named, once, and all changes are listed."""
    store = DirectoryStore(tmp_path, ManualClock(AT))
    for each in [each.name for each in store.list("_backstream/flights/log/") if "[bold]" in each.name]:
        store.delete(each)
    store.put(f"_backstream/flights/actors/{name}", b"x")
    words = ["changes", "flights", "--from", str(AT - 200), "--to", str(AT), *([form] if form else [])]
    code, out, err = said(capfdbinary, vault, *words)
    assert (code, out) == (4, "")
    assert f"actors/{name}: a foreign object among the findings of blame" in err
    code, out, err = said(capfdbinary, vault, *words, "--allow-gap")
    assert code == 1
    assert err.count(f"actors/{name}: a foreign object among the findings of blame") == 1
    assert not set(out) & FORBIDDEN
    if form == "--json":
        assert [each["event"] for each in json.loads(out)] == ["INSERT", "MODIFY"]
    elif form == "--ndjson":
        assert [json.loads(line)["event"] for line in out.splitlines()] == ["INSERT", "MODIFY"]


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "flights", "--at", str(AT), "--to-file", "out", "--keys"),
        ("restore", "flights", "--resume"),
        ("restore", "flights", "--yes", "--undo"),
        ("migrate", "flights", "--live", "--yes", "--resume"),
        ("revert", "flights", "--from", str(AT - 200), "--to", str(AT), "--dry-run", "--changes"),
    ],
)
def test_a_file_of_one_endless_line_takes_no_memory(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, vault: str, words: tuple[str, ...]
) -> None:
    """It may lie in the working directory, where others put it."""
    path = tmp_path / "endless"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, out, err = said(capfdbinary, vault, *words, str(path))
    assert (code, out) == (2, "")
    assert "has a line of more than 9,437,184 bytes: it is no file of this tool" in err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10, "kilobytes"


def test_a_page_hides_nothing() -> None:
    drill = msgspec.structs.replace(drills.FAILED, table=NASTY, hint=NASTY)
    assert not set(page(drill, []).decode()) & (FORBIDDEN - {"\r"})
