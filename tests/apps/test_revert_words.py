"""Words of `changes`, `revert` and `restore` that contradict each other: refused before anything is opened, so without a vault."""

from __future__ import annotations

import itertools
import re

import pytest

from backstream.apps.cli.main import call

FILES = ("--apply", "--resume", "--undo")
TOLD_BY_THE_FILE = (
    ("--from", "1h ago"),
    ("--to", "5m ago"),
    ("--allow-gap",),
    ("--key", "{}"),
    ("--keys", "file"),
    ("--changes", "file"),
    ("--partition", "z"),
    ("--tenant", "x"),
    ("--where", "a = 1"),
    ("--event", "INSERT"),
    ("--actor", "ann"),
    ("--attribute", "price"),
    ("--merge", "item"),
    ("--on-conflict", "stop"),
)
FILTERS = ("--keys", "--partition", "--tenant", "--where", "--event", "--actor")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = call([*words, "--vault", "file:///nowhere"])
    said = capsys.readouterr()
    assert (code, said.out) == (2, ""), said
    return said.err


@pytest.mark.parametrize(("file", "words"), list(itertools.product(FILES, TOLD_BY_THE_FILE)))
def test_what_a_file_tells_is_refused_beside_it(file: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "revert", "orders", file, "some", *words, "--yes")
    assert f"{file} goes without a window, a selection, --merge and --on-conflict" in said


@pytest.mark.parametrize("file", FILES)
def test_one_file_at_a_time(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for other in {*FILES, "--plan"} - {file}:
        said = refused(capsys, "revert", "orders", file, "some", other, "more", "--yes")
        assert re.match(r"error: --\w+ and --\w+ exclude each other\n", said)


def test_what_goes_without_a_dry_run_or_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    for file in ("--apply", "--resume"):
        assert f"{file} goes without --dry-run" in refused(capsys, "revert", "orders", file, "some", "--dry-run")
    for file in ("--resume", "--undo"):
        said = refused(capsys, "revert", "orders", file, "some", "--expect-deletes", "3", "--yes")
        assert "--expect-deletes goes with a revert that begins now, or with --apply" in said


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_filter_that_is_given_twice_does_not_drop_the_first(filter_: str, capsys: pytest.CaptureFixture[str]) -> None:
    twice = (filter_, "one", f"{filter_}=another")
    for verb in ("changes", "revert"):
        assert f"{filter_} is given twice" in refused(capsys, verb, "orders", "--from", "1h ago", *twice)
    if filter_ not in ("--event", "--actor"):
        assert f"{filter_} is given twice" in refused(capsys, "restore", "orders", "--at", "1h ago", "--in-place", *twice)


def test_other_selections_that_are_given_twice(capsys: pytest.CaptureFixture[str]) -> None:
    twice = ("--changes", "one", "--changes", "another")
    assert "--changes is given twice" in refused(capsys, "revert", "orders", "--from", "1h ago", *twice)
    between = ("--changed-between", "2h ago", "1h ago")
    assert "--changed-between is given twice" in refused(capsys, "restore", "orders", "--at", "1h ago", *between, *between)
