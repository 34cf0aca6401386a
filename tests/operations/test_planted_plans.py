"""Somebody puts the plan of a base backup into the vault, and waits for `backfill` to go on with it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from backstream.engine.local.state import State
from backstream.errors import Damaged
from backstream.model import moment_arguments
from backstream.operations.base.backfill import BackfillContext, Backfilled, backfill, scan_of
from backstream.ports import ObjectStore
from backstream.vault.bases import BaseKind, BasePlan
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.stage import Stage

BASES = "_backstream/flights/base/"


@pytest.fixture
def stage() -> Stage:
    """Five rows that were there before the stream was, so that only a base backup has them."""
    clock = ManualClock()
    stage = Stage(clock)
    stage.put(range(5))
    clock.sleep(60)
    stage.follow()
    return stage


def backed_up(stage: Stage, *, fresh: bool = False) -> Backfilled:
    vault = stage.vault()
    return backfill(
        vault, scan_of(vault, stage.table, stage.clock, segments=2, max_units=None), BackfillContext(stage.clock), fresh=fresh
    )


def plan(stage: Stage, **changed: Any) -> dict[str, Any]:
    """A plan of this very table."""
    sound = BasePlan(1, "planted", BaseKind.SCAN, stage.table.facts().table_id, 2, int(stage.clock.now()) - 30)
    return {**msgspec.to_builtins(sound), **changed}


def put(store: ObjectStore, body: bytes, base: str = "planted") -> str:
    name = f"{BASES}{base}/plan.json"
    store.put(name, body)
    return name


@pytest.mark.parametrize("base", ["log", "gaps"])
def test_one_in_a_folder_that_a_functions_role_may_write_to_is_named(stage: Stage, base: str) -> None:
    """A role for more than ten tables adds to `_backstream/*/log/*`: the pattern spans slashes, so to `base/log/plan.json`, too."""
    name = put(stage.store, _json(plan(stage, id=base)), base)
    with pytest.raises(Damaged, match=name):
        backed_up(stage)


@pytest.mark.parametrize(
    "changed",
    [
        {"segments": 0},
        {"segments": -3},
        {"segments": 10**9},
        {"segments": 10**30},
        {"id": "other"},
        {"id": "../../flights"},
        {"began": 10**18},
        {"began": -1},
        {"began": 10**300},
        {"kind": "none"},
        {"segments": "2"},
    ],
    ids=str,
)
def test_one_that_backfill_does_not_write_is_named(stage: Stage, changed: dict[str, Any]) -> None:
    name = put(stage.store, _json(plan(stage, **changed)))
    with pytest.raises(Damaged, match=name) as raised:
        backed_up(stage)
    assert len(raised.value.message) < 2_000
    assert backed_up(stage, fresh=True).rows == 5


def _json(value: dict[str, Any]) -> bytes:
    """With numbers of any length."""
    return json.dumps(value).encode()


def test_one_of_the_future_is_not_gone_on_with(stage: Stage) -> None:
    put(stage.store, _json(plan(stage, began=int(stage.clock.now()) + 86_400)))
    report = backed_up(stage)
    assert (report.resumed, report.rows) == (False, 5)
    assert moment_arguments.parse(report.began, 0) <= stage.clock.now()


def test_a_sound_one_is_gone_on_with_and_holds_all(stage: Stage) -> None:
    put(stage.store, _json(plan(stage)))
    report = backed_up(stage)
    assert (report.resumed, report.rows) == (True, 5)
    stage.clock.sleep(60)
    stage.follow()
    with State(stage.vault(), int(stage.clock.now()) - 30, memory=SMALL) as found:
        assert sum(len(part) for part in found) == 5
