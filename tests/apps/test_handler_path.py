"""What a process that is warm does for a batch: little, and what has changed since the last one counts at once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged, UsageError
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Codec, Segment, SegmentKind
from kit.house_numbers import one_event
from kit.invocations import LambdaStage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LambdaStage:
    monkeypatch.setenv("BACKSTREAM_VAULT", tmp_path.as_uri())
    return LambdaStage(layout=Layout.LOG)


def put(stage: LambdaStage, number: int) -> list[str]:
    """Delivers one more change."""
    stage.put([number])
    return stage.deliver(stage.records()[-1:])


def written(stage: LambdaStage) -> list[Segment]:
    """The segments in the order of their changes."""
    return sorted((each for each in stage.log() if each.count), key=lambda each: int(each.first))


def test_the_way_from_the_handler_to_the_store_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTREAM_VAULT", "")  # set by the path's own stage, and given back
    event = one_event(Layout.LOG, to_the_port=True)
    modules = {module for module, _, _ in event.functions}
    # Whoever needs more: see docs/notes/0041. A module on this way is loaded, run and understood for every batch there is.
    assert (len(modules) <= 21, len(event.stays) - len(modules) <= 11) == (True, True), event.stays


def test_a_variable_that_changes_counts_from_the_next_batch_on(stage: LambdaStage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert put(stage, 1) == []
    monkeypatch.setenv("BACKSTREAM_PARALLELIZATION", "2")
    assert put(stage, 2) == []
    assert [each.kind for each in written(stage)] == [SegmentKind.LAMBDA, SegmentKind.PARALLEL]
    monkeypatch.setenv("TurnoverRole", "AFTER")
    with pytest.raises(UsageError, match="go together"):
        put(stage, 3)
    monkeypatch.setenv("TurnoverAt", "1")
    assert put(stage, 4) == []


def test_a_catalog_that_changes_counts_from_the_next_batch_on(stage: LambdaStage) -> None:
    assert put(stage, 1) == []
    store, table = stage.store, stage.vault().catalog.table
    for codec in (Codec.GZIP, Codec.ZSTD, Codec.GZIP):
        known = catalogs.current(store, table)
        catalogs.save(store, msgspec.structs.replace(known.catalog, compress=codec), known)
        assert put(stage, 2) == []
    assert [each.codec for each in written(stage)] == [Codec.ZSTD, Codec.GZIP, Codec.ZSTD, Codec.GZIP]


def test_a_catalog_that_is_lost_fails_the_next_batch(stage: LambdaStage) -> None:
    assert put(stage, 1) == []
    catalog = stage.store.get("_backstream/flights/catalog.json")
    stage.store.put(catalog.info.name, b"{}")
    with pytest.raises(Damaged, match=r"catalog\.json"):
        put(stage, 2)
    stage.store.put(catalog.info.name, catalog.body, catalog.info.metadata)
    assert put(stage, 3) == []
