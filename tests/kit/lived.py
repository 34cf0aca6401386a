"""A table that has lived for some hours, and all that a vault tells of it: to be the same before a compaction and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.state import State
from backstream.model.changes.change import Change, stream_label
from backstream.model.values import wire
from backstream.model.window import Window
from backstream.operations.capture.batch import keep_batch
from backstream.operations.inspect import history
from backstream.ports import ObjectStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.records import lambda_record
from kit.stage import Stage

ITEMS = range(8)
SMALL = Memory(64 << 20)  # no processes
LOG = "_backstream/flights/log/"
COMPACTED = "_backstream/flights/compacted/"
GENERATIONS = COMPACTED + "generations/"


class Told(msgspec.Struct, frozen=True):
    """What a vault tells: the state at moments, each item's history as JSON, the window, and how many changes there are."""

    states: Mapping[int, Mapping[bytes, bytes]]
    histories: Mapping[bytes, bytes]
    window: Window
    changes: int


def key(number: int) -> bytes:
    """The canonical key of an item of the stage."""
    return wire.key_of(images.SCHEMA, images.key("z", number))


def live(stage: Stage, rounds: int = 3, *, first: int = 0) -> list[int]:
    """Some hours of changes, deletes among them, followed by a tail twice an hour; a second of each round."""
    seconds = []
    for number in range(first, first + rounds):
        stage.put(ITEMS)
        stage.clock.sleep(5)
        stage.delete([number % len(ITEMS), (number + 3) % len(ITEMS)])
        stage.put([number % len(ITEMS)])
        seconds.append(int(stage.clock.now()))
        stage.follow()
        stage.clock.sleep(1_800)
    return seconds


def lived(rounds: int = 3, *, layout: Layout = Layout.LOG, store: ObjectStore | None = None) -> tuple[Stage, list[int]]:
    """A stage that has lived, and a second of each round."""
    stage = Stage(ManualClock(), layout=layout, store=store)
    return stage, live(stage, rounds)


def state(vault: TableVault, at: int, memory: Memory = SMALL) -> dict[bytes, bytes]:
    """The table at a second, as a restore sees it; all of it must be readable."""
    with State(vault, at, memory=memory) as found:
        assert not found.unreadable
        return {key: vault.image(entry) for part in found for key, entry in part.items() if not entry.removed}


def histories(vault: TableVault) -> dict[bytes, bytes]:
    """Every item's history."""
    return {key(number): msgspec.json.encode(history.history(vault, key(number))) for number in (*ITEMS, 99)}


def changes(vault: TableVault) -> int:
    """How many changes the log holds, each as often as a reader meets it."""
    found = vault.inventory()
    in_segments = sum(each.segment.count for each in found.segments if each.segment is not None)
    return in_segments + sum(each.lines for each in found.sets)


def told(stage: Stage, seconds: Sequence[int]) -> Told:
    """All that the vault tells of a stage now."""
    vault = stage.vault()
    return Told(
        states={at: state(vault, at) for at in seconds},
        histories=histories(vault),
        window=vault.window(stage.clock.now()),
        changes=changes(vault),
    )


def hidden(store: ObjectStore, prefix: str = LOG) -> set[str]:
    """The names of objects that have a delete marker on top."""
    return {each.name for each in store.versions(prefix) if each.latest and each.marker}


def names(store: ObjectStore, prefix: str) -> list[str]:
    """The names of current objects."""
    return [each.name for each in store.list(prefix)]


def deliver(stage: Stage, found: list[Change], kind: SegmentKind = SegmentKind.PARALLEL) -> None:
    """One batch, as to a function."""
    stream = stage.table.stream
    with ThreadPoolExecutor(2) as pool:
        records = [lambda_record(change, stream.arn) for change in found]
        label = stream_label(stream.arn)
        report = keep_batch(stage.vault(), records, label, pool, writer="fn", kind=kind, now=stage.clock.now)
    assert report.captured == len(found)


def all_changes(stage: Stage) -> list[Change]:
    """What the table's stream holds."""
    stream = stage.table.stream
    return [each for shard in stream.facts().shards for each in stream.read(shard.id, stream.iterator(shard.id, None)).changes]
