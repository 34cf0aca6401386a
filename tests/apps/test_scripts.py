"""Users' scripts, loaded and called; and `filter`, over lines."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.apps.verbs import scripts
from backstream.apps.verbs.migrations import filtered
from backstream.errors import Damaged, Refused, ScriptFailed, UsageError
from backstream.operations.migrate.journal import MigrationHead, MigrationJournal
from kit.scene import COMMAND


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def migrate(item:\n", "no Python: .*line 1"),
        ("x = 1\n", "no function migrate"),
        ("migrate = 5\n", "migrate is no function"),
        ("def migrate():\n    pass\n", "takes 0 parameters"),
        ("def migrate(a, b, c):\n    pass\n", "takes 3 parameters"),
        ("async def migrate(item):\n    pass\n", "plain function"),
        ("def migrate(item):\n    yield item\n", "plain function"),
        ("def migrate(item):\n    pass\ndef finish(a, b):\n    pass\n", "finish takes 2"),
        ("\x00", "no Python"),
    ],
)
def test_what_is_no_script(path: Path, text: str, why: str) -> None:
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        scripts.load(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for each in (tmp_path / "missing.py", tmp_path):
        with pytest.raises(UsageError, match="no script"):
            scripts.load(each)


@pytest.mark.parametrize("line", ["1 / 0", "import sys; sys.exit(3)", "raise BaseException", "import not_to_be_found"])
def test_what_raises_while_it_is_loaded(path: Path, line: str) -> None:
    path.write_text(f"def migrate(item):\n    pass\n{line}\n")
    with pytest.raises(ScriptFailed, match="line 3"):
        scripts.load(path)


def test_what_raises_is_told_by_its_own_line(path: Path) -> None:
    path.write_text("def inner(item):\n    return item['a\\nb']\n\ndef migrate(item):\n    return inner(item)\n")
    with pytest.raises(ScriptFailed, match=r"KeyError: 'a\\nb' \(.*script.py, line 2\)") as raised:
        scripts.load(path).migrate({})
    assert isinstance(raised.value.__cause__, KeyError)


def test_ctrl_c_stays_what_it_is(path: Path) -> None:
    path.write_text("def migrate(item):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        scripts.load(path).migrate({})


def test_what_it_prints_goes_to_stderr(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text("print('loaded')\ndef migrate(item):\n    print('called')\n")
    scripts.load(path).migrate({})
    assert capsys.readouterr() == ("", "loaded\ncalled\n")


def test_it_reckons_with_38_digits(path: Path) -> None:
    path.write_text("def migrate(item):\n    return item + 1\n")
    assert scripts.load(path).migrate(Decimal(10**37)) == 10**37 + 1


def test_it_may_import_what_lies_beside_it_and_leaves_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_it.py").write_text("ONE = 1\n")
    (tmp_path / "script.py").write_text(
        "import dataclasses, beside_it\n@dataclasses.dataclass\nclass A:\n    a: int\n"
        "def migrate(item):\n    return A(beside_it.ONE).a\n"
    )
    assert scripts.load(tmp_path / "script.py").migrate({}) == 1


def test_what_lies_beside_it_takes_no_known_modules_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported later, by us or by a worker process, is what is installed: the folder may be anybody's to write to."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    for name in ("colorsys", "zstandard", "msgspec"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "script.py").write_text("import colorsys\ndef migrate(item):\n    return colorsys.__file__\n")
    assert str(tmp_path) not in scripts.load(tmp_path / "script.py").migrate({})
    code = "import sys; sys.path[:] = sys.argv[1:]; import zstandard, msgspec"
    subprocess.run([sys.executable, "-P", "-c", code, *sys.path], check=True, cwd=tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("parameter", "native"),
    [
        ("item", False),
        ("dynamodb_json", True),
        ("item: 'DynamoDBJson'", True),
        ("item: backstream.DynamoDBJson", True),
        ("item: dict", False),
        ("item, live", False),
        ("item, more=5", False),
    ],
)
def test_the_signature_says_which_notation(path: Path, parameter: str, native: bool) -> None:  # noqa: FBT001 - a parameter of the test
    path.write_text(f"import backstream\ndef migrate({parameter}):\n    return item\n")
    loaded = scripts.load(path)
    assert (loaded.native, loaded.takes_live) == (native, parameter == "item, live")


# --- filter -----------------------------------------------------------------------------------------------------------------------

LINES = [
    b'{"id":{"S":"a"},"n":{"N":"1.50"}}\n',
    b'{"Item": {"id":{"S":"b"},"n":{"N":"2"}}}\n',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"c"}},"NewImage":{"id":{"S":"c"},"n":{"N":"3"}}}\n',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"d"}}}\n',
    b"\n",
    b'{"Item":{"S":"an attribute of that name"}}',
]


def test_filter_keeps_lines_byte_for_byte(path: Path) -> None:
    path.write_text("def filter(item):\n    return item.get('n') != 2\n")
    assert list(filtered(LINES, path)) == [LINES[0], LINES[2], LINES[3], LINES[5] + b"\n"]


def test_migrate_as_a_filter_changes_lines_in_their_shape(path: Path) -> None:
    path.write_text(
        "import backstream\ndef migrate(item):\n"
        "    if item.get('id') == 'a':\n        return None\n"
        "    if 'Item' in item:\n        return backstream.DELETE\n"
        "    item['n'] += 1\n    return item\n"
    )
    assert list(filtered(LINES, path)) == [
        LINES[0],
        b'{"Item":{"id":{"S":"b"},"n":{"N":"3"}}}\n',
        b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"c"}},"NewImage":{"id":{"S":"c"},"n":{"N":"4"}}}\n',
        LINES[3],
    ]


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"id":"a"}\n', b'{"Item":5}\n', b'{"a":{"S":"x"}}trailing\n'])
def test_a_line_that_is_none_is_named_by_its_number(path: Path, line: bytes) -> None:
    path.write_text("def filter(item):\n    return True\n")
    lines = filtered([LINES[0], b"\n", line], path)
    assert next(lines) == LINES[0]
    with pytest.raises(Damaged, match="line 3: "):
        next(lines)


@pytest.mark.parametrize(("body", "why"), [("return 1", "True or False"), ("return item['x']", "KeyError"), ("pass", "NoneType")])
def test_a_filter_that_fails_names_the_line(path: Path, body: str, why: str) -> None:
    path.write_text(f"def filter(item):\n    {body}\n")
    with pytest.raises(ScriptFailed, match=f"line 1: .*{why}"):
        list(filtered(LINES, path))


def test_the_command_reads_stdin_and_writes_stdout(path: Path) -> None:
    path.write_text("def filter(item):\n    print('looking')\n    return item['id'] == 'b'\n")
    done = subprocess.run([COMMAND, "filter", str(path)], input=b"".join(LINES[:3]), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, LINES[1])
    assert done.stderr == b"looking\n" * 3
    path.write_text("def filter(item):\n    return item['nope']\n")
    done = subprocess.run([COMMAND, "filter", str(path)], input=LINES[0], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: line 1: KeyError: 'nope'")
    assert json.loads(LINES[0])["n"] == {"N": "1.50"}


def test_another_script_than_the_one_that_was_begun_with_is_not_run(path: Path) -> None:
    path.write_text("def migrate(item):\n    return item\n")
    digest = scripts.load(path).digest
    assert scripts.load(path, digest=digest).digest == digest
    ran = path.with_name("ran")
    path.write_text(f"open({str(ran)!r}, 'w')\ndef migrate(item):\n    return item\n")
    with pytest.raises(Refused, match="has changed since the migration began: nothing of it was run"):
        scripts.load(path, digest=digest)
    assert not ran.exists()


def test_a_journal_of_another_user_does_not_say_what_is_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder that others may write to, they may put another file in its place: with a script, and a digest that fits."""
    ran = tmp_path / "ran"
    path.write_text(f"open({str(ran)!r}, 'w')\ndef migrate(item):\n    return item\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    head = MigrationHead(migration="x", table="flights", script=str(path), digest=digest, began=1)
    journal = tmp_path / "backstream-migrate-x.ndjson"
    journal.write_bytes(msgspec.json.encode(head) + b"\n")
    words = ["migrate", "flights", "--resume", str(journal), "--live", "--yes"]
    monkeypatch.setattr("backstream.private_files.ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert call(words) == 4
    assert "belongs to another user, so what it says is not believed" in capsys.readouterr().err
    assert not ran.exists()


def test_the_command_runs_nothing_of_a_script_that_has_changed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal names the script. Once it was run before it was compared."""
    monkeypatch.chdir(tmp_path)
    head = MigrationHead(
        migration="0a1b", table="flights", script=str(path), digest=hashlib.sha256(b"as it was").hexdigest(), began=1
    )
    (tmp_path / "backstream-migrate-0a1b.ndjson").write_bytes(msgspec.json.encode(head) + b"\n")
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef migrate(item):\n    return item\n")
    assert call(["migrate", "flights", "--resume", "0a1b", "--live", "--yes"]) == 4
    assert f"{path} has changed since the migration began: nothing of it was run" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '["d",5]',
        '["d","x"]',
        '["x",0]',
        '["i",0]',
        '["i",7,{"id":{"S":"a"}},null,null]',
        '["i",0,7,null,null]',
        '["i",0,{},7,null]',
        "{}",
        "[" * 100_000,
        '["d",' + "9" * 6_000 + "]",
    ],
)
def test_a_damaged_journal_is_named(tmp_path: Path, line: str) -> None:
    head = MigrationHead(migration="x", table="flights", script="s.py", digest="", began=1)
    journal = tmp_path / "backstream-migrate-x.ndjson"
    journal.write_bytes(msgspec.json.encode(head) + b"\n" + line.encode() + b"\n")
    with pytest.raises(UsageError, match=r"backstream-migrate-x\.ndjson is damaged"):
        MigrationJournal(journal)
