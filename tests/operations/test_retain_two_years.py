"""`retain --keep 1y` of two years: interrupted twenty times, in bounded memory, with requests that do not grow with the items."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from backstream.model import moment
from backstream.operations.inspect.check import CheckContext, check
from kit import two_years
from kit.big_vault import image_of
from kit.clock import ManualClock
from operations.test_memory import MEGABYTE, launched

FEW, MILLION = 2_000, 1_000_000


def versions_at(items: int, at: int) -> Mapping[int, int]:
    """The version of each item at a second: 0 as it was inserted, else the number of its change."""
    found = dict.fromkeys(range(items), 0)
    found |= {two_years.item_of(each, items): each for each in range(1, items + 1) if two_years.changed_at(each, items) <= at}
    return found


def assert_exact(folder: Path, items: int, at: int) -> None:
    vault = two_years.vault_in(two_years.store_in(folder, ManualClock()))
    wanted, seen = versions_at(items, at), 0
    with vault.engine.state(vault, at) as state:
        assert not state.unreadable
        for partition in state:
            for key, entry in partition.items():
                item = int(key[len(b'{"id":{"S":"flight-') :][:8])
                assert vault.image(entry) == image_of(item, wanted[item])
                seen += 1
    assert seen == items


def assert_retained(report: two_years.Interrupted, folder: Path, items: int) -> None:
    assert report.interrupted == two_years.TIMES
    assert report.versions[1] < report.versions[0]
    assert report.horizon is not None
    horizon = moment.parse_iso_micros(report.horizon) // 1_000_000
    assert abs(horizon - (two_years.BEGAN + two_years.YEAR)) < 3_700
    window = two_years.vault_in(two_years.store_in(folder, ManualClock())).window(two_years.BEGAN + 2 * two_years.YEAR)
    assert [(each.since, each.until) for each in window.ranges] == [(horizon, two_years.BEGAN + 2 * two_years.YEAR)]
    for at in (horizon, horizon + 100 * two_years.DAY, window.ranges[0].until):
        assert_exact(folder, items, at)


def test_twenty_interruptions_leave_every_moment_as_it_was(tmp_path: Path) -> None:
    clock = ManualClock()
    two_years.fill(tmp_path / "vault", FEW, clock)
    report = two_years.interrupted(tmp_path / "vault", clock)
    assert_retained(report, tmp_path / "vault", FEW)
    vault = two_years.vault_in(two_years.store_in(tmp_path / "vault", clock))
    assert check(vault, CheckContext(clock)).findings == []


@pytest.mark.soak
@pytest.mark.timeout(5_400)
def test_a_million_items_in_bounded_memory(tmp_path: Path) -> None:
    """The process fills the vault, too; its peak counts all of that."""
    folder = tmp_path / "vault"
    peak, said = launched([sys.executable, "-m", "kit.two_years", str(folder), str(MILLION)], tmp_path / "peak")
    report = msgspec.json.decode(said, type=two_years.Interrupted)
    sys.stderr.write(f"peak {peak / MEGABYTE:.0f} MB, requests of 21 attempts: {report.requests}\n")
    assert_retained(report, folder, MILLION)
    assert peak < 600 * MEGABYTE
    assert sum(report.requests.values()) < 60_000
