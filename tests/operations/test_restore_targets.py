"""What every target of a restore keeps to: nothing is touched before `apply`, and `plan` tells what `apply` then does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from backstream.errors import MissingTable, TargetNotEmpty
from backstream.model.values import wire
from backstream.operations.restore import (
    InPlace,
    Into,
    NewTable,
    RestoreContext,
    Restored,
    RestoreRequest,
    Resumed,
    TargetRequest,
    ToFile,
    prepare,
)
from backstream.operations.restore.targets.sinks import FileSink
from backstream.ports import Put
from backstream.tables.memory import MemoryTable
from kit import images
from kit.lived import lived

KINDS = ("new table", "table that is there", "in place", "file", "into", "resumed", "resumed in place")


class Hall:
    """A table that has lived, and a target of each kind beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage, seconds = lived()
        self.at = seconds[1]
        self.vault = self.stage.vault()
        self.there = MemoryTable("there", self.stage.clock, images.SCHEMA)
        self.new = MemoryTable("new", self.stage.clock, images.SCHEMA)
        self.new.delete()
        self.path = folder / "items.json"

    def around(self) -> RestoreContext:
        tables = {"flights": self.stage.table, "there": self.there, "new": self.new}
        return RestoreContext(lambda name: tables[name], self.stage.clock, self.folder)

    def target(self, kind: str) -> TargetRequest:
        return {
            "new table": NewTable("new"),
            "table that is there": NewTable("there"),
            "in place": InPlace(),
            "file": ToFile(self.path),
            "into": Into("elsewhere", lambda: FileSink(self.path)),
            "resumed": Resumed("there"),
            "resumed in place": Resumed("flights", in_place=True),
        }[kind]

    def request(self, kind: str) -> RestoreRequest:
        return RestoreRequest(self.at, self.target(kind), allow_gap=True)

    def held(self, kind: str) -> Mapping[bytes, bytes] | None:
        """What the target holds; None where it is not there."""
        if kind in ("file", "into"):
            return self._in_file() if self.path.exists() else None
        table = self.new if kind == "new table" else self.stage.table if "in place" in kind else self.there
        try:
            return self._keyed(image for page in table.scan() for image in page)
        except MissingTable:
            return None

    def _in_file(self) -> Mapping[bytes, bytes]:
        lines = self.path.read_bytes().splitlines()
        return self._keyed(bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["Item"]) for line in lines)

    @staticmethod
    def _keyed(found: object) -> Mapping[bytes, bytes]:
        assert hasattr(found, "__iter__")
        return {wire.key_of(images.SCHEMA, image): image for image in found}

    def files(self) -> set[str]:
        return {each.name for each in self.folder.iterdir()}


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_touched_before_it_is_applied(hall: Hall, kind: str) -> None:
    before = hall.held(kind)
    with prepare(hall.vault, hall.request(kind), hall.around()) as prepared:
        assert hall.held(kind) == before
        prepared.plan()
        assert hall.held(kind) == before
        assert hall.files() == set()
    assert hall.held(kind) == before
    assert hall.files() == set()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planned_is_done(hall: Hall, kind: str) -> None:
    with prepare(hall.vault, hall.request(kind), hall.around()) as prepared:
        planned, again = prepared.plan(), prepared.plan()
        done = prepared.apply()
    assert counts(planned) == counts(again) == counts(done)
    assert done.failed == 0
    assert done.put > 0
    assert hall.held(kind) == hall.stage.expected(hall.at)
    kept = {Path(done.undo.split()[-1]).name} if done.undo else set()
    assert hall.files() - {hall.path.name} == kept
    assert bool(kept) == ("in place" in kind)


@pytest.mark.parametrize("kind", [each for each in KINDS if each in ("table that is there", "file")])
def test_what_holds_something_is_refused_while_it_is_prepared(hall: Hall, kind: str) -> None:
    hall.there.write([Put(images.image("z", 4_711))])
    hall.path.write_bytes(b"mine")
    with pytest.raises(TargetNotEmpty), prepare(hall.vault, hall.request(kind), hall.around()):
        raise AssertionError("it was accepted")
    assert hall.path.read_bytes() == b"mine"


def test_none_of_two_is_touched_where_one_cannot_be_prepared(hall: Hall) -> None:
    one, other = hall.request("in place"), hall.request("file")
    hall.path.write_bytes(b"mine")
    before = hall.held("in place")
    with pytest.raises(TargetNotEmpty):
        both(hall, one, other)
    assert hall.held("in place") == before


def both(hall: Hall, one: RestoreRequest, other: RestoreRequest) -> None:
    with prepare(hall.vault, one, hall.around()) as first, prepare(hall.vault, other, hall.around()) as second:
        first.apply()
        second.apply()


def test_what_changes_after_it_was_prepared_is_a_conflict(hall: Hall) -> None:
    with prepare(hall.vault, hall.request("in place"), hall.around()) as prepared:
        hall.stage.table.write([Put(images.image("z", 1, v={"N": "4711"}))])
        done = prepared.apply()
    assert (done.failed, done.conflicts) == (1, 1)
    held = hall.held("in place")
    assert held is not None
    assert {"N": "4711"} in [wire.attribute(image, "v") for image in held.values()]


def test_a_dry_run_is_never_applied(hall: Hall) -> None:
    request = msgspec.structs.replace(hall.request("in place"), dry_run=True)
    before = hall.held("in place")
    with prepare(hall.vault, request, hall.around()) as prepared, pytest.raises(ValueError, match="planned"):
        prepared.apply()
    assert hall.held("in place") == before


def counts(report: Restored) -> tuple[object, ...]:
    return report.put, report.deleted, report.unchanged, report.failed, report.conflicts, report.target, report.warnings
