"""`retain --keep --keep-daily --keep-monthly`: single states of older times stay restorable, and nothing between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from backstream.apps.cli.main import call
from backstream.errors import NotFound, OutsideWindow, Refused
from backstream.model import moment
from backstream.model.keep_rule import KeepRule
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, EraseRequest, erase, verify_erasure
from backstream.operations.inspect import safety
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.inspect.history import show
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.setup.kept_history import KeepOptions
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.horizon import KeptState
from backstream.vault.item_states import newest
from kit.clock import ManualClock
from operations.test_retain import DAY, Kept, answers, key_of, sizes

MONTHS = KeepRule(3 * DAY, 20 * DAY, 400 * DAY)  # days, and later months


class Thinned(Kept):
    """A stage with a rule."""

    def days(self, days: int) -> None:
        """The same with less work."""
        for day in range(days):
            self.put([day % 4, 5])
            self.clock.sleep(60)
            self.delete([5, 6] if day % 3 else [5])
            self.put([4 + day % 2 * 2])
            self.clock.sleep(DAY - 600)
            self.follow()

    def thin(self, rule: KeepRule, *, dry: bool = False) -> Retention:
        return retain(self.vault(), rule, RetainContext(self.clock, None if dry else self.store))

    @property
    def kept(self) -> tuple[KeptState, ...]:
        return self.vault().catalog.kept_states


@pytest.fixture(params=[Layout.LOG, Layout.ROWS])
def stage(request: pytest.FixtureRequest) -> Thinned:
    clock = ManualClock(1_764_000_000.0)  # 2025-11-24, 16:00
    return Thinned(clock, layout=request.param, store=MemoryStore(clock))


def assert_exact(stage: Thinned) -> None:
    """Each kept moment is as it was, by the engine and by single items; and nobody finds anything wrong."""
    window = stage.vault().window(stage.clock.now())
    assert window.kept_seconds == [each.second for each in stage.kept if each.second < (window.horizon or 0)]
    for at in [each.second for each in stage.kept]:
        assert answers(stage, at) == stage.expected(at), moment.iso(at)
        for number in range(8):
            found = newest(stage.vault(), key_of(number), at, stage.vault().basis(at))
            image = None if found is None or found.removed else stage.vault().image(found)
            assert image == stage.expected(at).get(key_of(number)), (moment.iso(at), number)
    assert check(stage.vault(), CheckContext(stage.clock), percent=100).findings == []


def test_ends_of_days_stay_and_all_between_them_goes(stage: Thinned) -> None:
    stage.live(12, compacting=True)
    before = sizes(stage)
    report = stage.thin(KeepRule(3 * DAY, 30 * DAY))
    assert report.kept_states == [each.since for each in stage.kept]
    assert [each.since for each in stage.kept] == [f"2025-11-{day}T23:59:59Z" for day in range(24, 31)] + [
        "2025-12-01T23:59:59Z",
        "2025-12-02T23:59:59Z",
    ]
    assert [each.whole for each in stage.kept] == [True] + [False] * 8
    assert sizes(stage)[0] < before[0]
    assert_exact(stage)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    assert horizon.second == stage.kept[-1].second
    for at in stage.moments(horizon.second):
        assert answers(stage, at) == stage.expected(at), at


def test_a_moment_between_kept_states_is_refused_and_the_nearest_are_named(stage: Thinned) -> None:
    stage.days(12)
    stage.thin(KeepRule(3 * DAY, 30 * DAY))
    now, at = stage.clock.now(), stage.kept[3].second + 60
    with pytest.raises(OutsideWindow, match="nearest kept moments are 2025-11-27T23:59:59Z and 2025-11-28T23:59:59Z"):
        show(stage.vault(), key_of(5), at, now=now)
    window = stage.vault().window(now)
    for second in range(stage.kept[0].second - 3, stage.kept[-1].second, 7_201):
        with pytest.raises(OutsideWindow):
            safety.check_table("flights", second, window, allow_gap=True)
    with pytest.raises(OutsideWindow):
        safety.check_followed(stage.kept[3].second, window)
    with pytest.raises(NotFound, match="did not exist"):
        show(stage.vault(), key_of(77), stage.kept[3].second, now=now)


def test_runs_each_week_are_as_one_and_old_days_leave_the_ends_of_months(stage: Thinned) -> None:
    for week in range(9):
        stage.days(7)
        compact(stage.vault(), stage.clock)
        stage.thin(MONTHS)
        if week in (2, 8):
            assert_exact(stage)
    days = [each.since[:10] for each in stage.kept]
    assert days[:2] == ["2025-11-30", "2025-12-31"]
    assert days[2:] == [moment.iso(stage.kept[-1].second - back * DAY)[:10] for back in reversed(range(len(days) - 2))]
    assert len(days) > 15
    assert stage.kept[0].whole


def test_a_rule_with_months_alone_keeps_them_beside_any_horizon(stage: Thinned) -> None:
    for _ in range(4):
        stage.days(20)
        stage.thin(KeepRule(3 * DAY, None, 400 * DAY))
    assert_exact(stage)
    assert [each.since for each in stage.kept] == ["2025-11-30T23:59:59Z", "2025-12-31T23:59:59Z", "2026-01-31T23:59:59Z"]


def test_a_rule_without_states_gives_them_up(stage: Thinned) -> None:
    stage.days(12)
    stage.thin(KeepRule(3 * DAY, 30 * DAY))
    many = len(list(stage.store.versions("_backstream/flights/base/")))
    stage.clock.sleep(2 * DAY)
    stage.follow()
    stage.thin(KeepRule(3 * DAY))
    assert stage.kept == ()
    assert stage.vault().window(stage.clock.now()).kept_seconds == []
    assert len(list(stage.store.versions("_backstream/flights/base/"))) < many / 3


def test_a_dry_run_names_the_states_and_changes_nothing(stage: Thinned) -> None:
    stage.live(12, compacting=True)
    rule, before = KeepRule(3 * DAY, 30 * DAY), list(stage.store.versions(""))
    planned = stage.thin(rule, dry=True)
    assert list(stage.store.versions("")) == before
    done = stage.thin(rule)
    assert planned.kept_states == done.kept_states
    assert planned.horizon == done.horizon
    rows = [{each.kind: each.versions for each in one.removed}.get("row versions", 0) for one in (planned, done)]
    assert rows[0] == rows[1]


def test_a_day_that_cannot_be_restored_is_told_and_left_out(stage: Thinned) -> None:
    stage.live(6)
    lost = int(stage.clock.now())
    stage.vault().gaps.record(Gap(reason="test", since=lost - 2 * DAY, until=lost - 1, stream=stage.vault().catalog.stream))
    source = scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None)
    backfill(stage.vault(), source, BackfillContext(stage.clock))
    stage.live(6)
    report = stage.thin(KeepRule(3 * DAY, 30 * DAY))
    assert any("no state is kept of" in each for each in report.notes)
    assert_exact(stage)


def test_nothing_goes_while_a_kept_state_is_damaged(stage: Thinned) -> None:
    stage.days(12)
    stage.thin(KeepRule(3 * DAY, 30 * DAY))
    stage.days(7)
    base = stage.kept[2].base
    part = next(each for each in stage.store.versions(f"_backstream/flights/base/{base}/") if "ndjson" in each.name)
    list(stage.store.remove_each([part]))
    before = {(each.name, each.version) for each in stage.store.versions("flights/")}
    with pytest.raises(Refused, match="was removed"):
        stage.thin(KeepRule(3 * DAY, 30 * DAY))
    assert {(each.name, each.version) for each in stage.store.versions("flights/")} == before
    found = check(stage.vault(), CheckContext(stage.clock)).findings
    assert any(base in each.object for each in found)


def test_an_erased_item_is_in_no_kept_state_and_all_else_stays(stage: Thinned) -> None:
    """Also one that only kept states know: it was deleted, and its history is removed."""
    stage.put([7])
    stage.days(12)
    stage.delete([7])
    stage.days(8)
    stage.thin(KeepRule(3 * DAY, 60 * DAY))
    before = {each.second: answers(stage, each.second) for each in stage.kept}
    moments = [each.second for each in stage.kept]
    assert any(key_of(7) in each for each in before.values())
    request = EraseRequest(reason="asked for it", by="test", keys=(key_of(7), key_of(5)))
    report = erase(stage.vault, request, EraseContext(stage.clock, stage.store))
    assert (report.keys, list(report.left), list(report.blocked)) == (2, [], [])
    assert [each.second for each in stage.kept] == moments
    for at in moments:
        assert answers(stage, at) == {key: image for key, image in before[at].items() if key not in request.keys}, moment.iso(at)
    assert check(stage.vault(), CheckContext(stage.clock), percent=100).findings == []
    verified = verify_erasure(stage.vault(), report.id, EraseContext(stage.clock, stage.store))
    assert (list(verified.found), list(verified.unread)) == ([], [])
    stage.days(3)
    stage.thin(KeepRule(3 * DAY, 10 * DAY))
    assert [each.second for each in stage.kept] != moments
    for at in [each.second for each in stage.kept if each.second <= moments[-1]]:
        assert answers(stage, at) == {key: image for key, image in before[at].items() if key not in request.keys}, moment.iso(at)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(1_700_000_000.0)  # 2023-11-14, 22:13
    (tmp_path / "vault").mkdir()
    stage = Kept(clock, layout=Layout.ROWS, store=DirectoryStore(tmp_path / "vault", clock))
    Thinned.days(cast("Thinned", stage), 6)

    def run(*words: str) -> tuple[int, str, str]:
        code = call([*words, "--vault", f"file://{tmp_path / 'vault'}"])
        said = capsys.readouterr()
        return code, said.out, said.err

    init(stage.store, stage.table, InitOptions(keep=KeepOptions(400 * DAY, 9_000 * DAY, 10_000 * DAY)))
    code, out, _ = run("retain", "flights", "--json")
    kept = json.loads(out)["kept_states"]
    assert (code, kept[:-1]) == (0, [f"2023-11-{day}T23:59:59Z" for day in range(14, 20)])
    assert kept[-1].startswith("2023-11-20T2"), "the last exact second stands for the day that nobody has captured to its end"
    code, out, _ = run("status", "flights", "--json")
    status = json.loads(out)
    assert (code, status["kept_states"], status["horizon"]) == (0, kept[:-1], kept[-1])
    assert status["keep"] == {"every": "400d", "daily": "9000d", "monthly": "10000d"}
    code, out, _ = run("status", "flights")
    assert "single state" in out
    assert "every second of 400d, the ends of days of 9000d" in out
    code, _, err = run("show", "flights", '{"zone":"z","number":1}', "--at", "2023-11-16T12:00:00Z")
    assert (code, "the nearest kept moments are 2023-11-15T23:59:59Z and 2023-11-16T23:59:59Z" in err) == (4, True)
    code, out, _ = run("show", "flights", '{"zone":"z","number":1}', "--at", kept[2], "--json")
    assert code == 0
    path = tmp_path / "then.json"
    code, out, err = run("restore", "flights", "--at", kept[2], "--to-file", str(path), "--json")
    expected = stage.expected(moment.parse_iso_micros(kept[2]) // 1_000_000)
    assert (code, json.loads(out)["put"]) == (0, len(expected)), err
    code, _, err = run("restore", "flights", "--at", "2023-11-16T12:00:00Z", "--to-file", str(tmp_path / "no.json"))
    assert (code, "nearest kept moments" in err) == (4, True)
    code, _, err = run("changes", "flights", "--from", kept[1], "--to", kept[2])
    assert (code, "nearest kept moments" in err) == (4, True)
    code, _, err = run("show", "flights", '{"zone":"z","number":5}', "--at", kept[0])
    assert (code, f"the history that is kept from {kept[-1]} holds nothing of it" in err, "first seen" in err) == (1, True, False)
    code, _, err = run("history", "flights", '{"zone":"z","number":5}')
    assert (code, "the history that is kept holds no version of" in err, "never seen" in err) == (1, True, False)
    assert run("check", "flights", "--read-data")[0] == 0
    code, out, _ = run("retain", "flights", "--keep-daily", "none", "--keep-monthly", "none", "--json")
    assert (code, json.loads(out)["kept_states"]) == (0, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep-daily", "1y"], "go with --keep"),
        (["--keep", "90d", "--keep-daily", "30d"], "--keep-daily is not longer"),
        (["--keep-all", "90d", "--keep-daily", "1y", "--keep-monthly", "1y"], "--keep-monthly is not longer"),
        (["--keep-all", "90d", "--keep-daily", "long"], "long"),
    ],
)
def test_periods_that_do_not_fit(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    (tmp_path / "vault").mkdir()
    Kept(clock, store=DirectoryStore(tmp_path / "vault", clock))
    assert call(["retain", "flights", "--vault", f"file://{tmp_path / 'vault'}", *words]) == 2
    assert said in capsys.readouterr().err
