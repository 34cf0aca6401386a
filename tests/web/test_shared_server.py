"""Several visitors and runs at once: none is told of a defect because another one has put a file away."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from backstream.apps.web import left_files, states, values
from backstream.apps.web.access.privacy import ShownValue
from backstream.apps.web.states import StateCopy
from backstream.errors import Unavailable
from backstream.model import moment
from backstream.vault.catalog import Layout
from kit.bad_night import Night
from kit.served import poll, served


def test_a_state_that_was_put_away_meanwhile_can_be_asked_for_again(tmp_path: Path) -> None:
    gone = StateCopy(tmp_path / "state-gone", 1, [], [])
    with pytest.raises(Unavailable, match="put away"):
        states.page(Night(Layout.LOG).stage.vault(), gone, b"", b"", None)


def test_states_lie_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "odd #1?mode=rw%41"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    night = Night(Layout.LOG)
    with served(night.config()) as server:
        visit = server.visit()
        path = f"/t/flights/state?at={quote(moment.iso(night.before))}"
        page = poll(lambda: visit.get(path), lambda each: "comes back by itself" not in each.words)
        assert (page.status, "12 items in all" in page.words) == (200, True)


def test_runs_are_listed_while_one_of_them_removes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"backstream-restore-{number:016x}.ndjson").write_bytes(b"")
    looked = Path.is_symlink

    def removed(path: Path) -> bool:
        found = looked(path)
        path.unlink()
        return found

    monkeypatch.setattr(Path, "is_symlink", removed)
    assert left_files.left_files(tmp_path) == []


@pytest.mark.parametrize("same", [0, 1, 399, 400, 5_000, 390_000])
def test_the_difference_of_two_long_values_is_in_sight(same: int) -> None:
    long, short = b'{"S":"%sold%s"}' % (b"x" * same, b"y" * 900), b'{"S":"%snew"}' % (b"x" * same)
    before, after = ShownValue(long, long), ShownValue(short, short)
    cells = values.changed_cells(before, after)
    assert ["old" in cells[0], "new" in cells[1]] == [True, True]
    assert max(map(len, cells)) <= values.LONG + 2
    assert values.changed_cells(before, before)[0] == values.cell(before)
    assert values.changed_cells(None, after) == ("", values.cell(after))


def test_a_value_that_only_changes_its_type_is_seen_to_change() -> None:
    text, binary = (ShownValue(raw, raw) for raw in (b'{"S":"aGk="}', b'{"B":"aGk="}'))
    assert values.changed_cells(text, binary) == ('{"S":"aGk="}', '{"B":"aGk="}')
    masked = [ShownValue(b"", token, masked=True) for token in (b"1", b"2")]
    assert values.changed_cells(*masked) == (values.MASKED, values.MASKED)
