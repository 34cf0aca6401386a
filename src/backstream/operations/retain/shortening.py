"""Takes the lines from before the horizon out of compacted sets, and notes where the chains of the remaining log begin."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Overtaken
from backstream.model.values.wire import KeyReader
from backstream.operations.base.compact import settle
from backstream.operations.base.compact.lines import Sorter
from backstream.operations.bulk.progress import Progress
from backstream.ports import Clock
from backstream.vault.log import chains, compacted, frames, inventory
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Generation, Set
from backstream.vault.log.generation import FORMAT, lacking
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import DAY
from backstream.vault.table_vault import TableVault

ATTEMPTS = 5  # beside compactions
LINKED_DAYS = 3


def shorten(vault: TableVault, clock: Clock, horizon: int, memory: Memory, progress: Progress) -> Generation:
    """Puts a generation in force whose sets hold nothing from before the horizon, and returns it.

    Its runs say what the first segment of each shard follows, so the chain that begins there is complete. Raises Overtaken if
    compactions were faster again and again, and Damaged if readers do not believe a record.
    """
    for left in reversed(range(ATTEMPTS)):
        vault.compacted.check_sound()
        before = settle(vault, clock)
        if before.begins_after >= horizon:
            return _hidden(vault, before)
        after = _shortened(vault, before, vault.inventory(), horizon, memory, progress)
        try:
            vault.compacted.commit(after)
        except Overtaken:
            if not left:
                raise
        else:
            vault.compacted.check_sound()  # nothing is removed unless readers believe the record
            return _hidden(vault, after)
    raise AssertionError  # the last attempt returns or raises


def _hidden(vault: TableVault, generation: Generation) -> Generation:
    """Puts delete markers on all that does not count any more, as a compaction does: only the last record is not hidden."""
    for name in vault.compacted.dead(generation):
        vault.store.delete(name)
    return generation


def _shortened(
    vault: TableVault, before: Generation, found: Inventory, horizon: int, memory: Memory, progress: Progress
) -> Generation:
    number = before.number + 1
    old = [each for each in before.changes if each.since <= horizon]
    stay = [each for each in before.changes if each.since > horizon]
    bases = inventory.sets_of_bases(vault.bases, before)
    reaching = [each for each in old if each.until > horizon]
    new = _rewritten(vault, number, reaching, horizon, memory, progress) if reaching else None
    paths = {name: vault.log.segment_of(name) for name in before.kept}
    return msgspec.structs.replace(
        before,
        format=FORMAT,
        number=number,
        horizon=horizon,
        sets=[*bases, *stay, *([] if new is None else [new])],
        kept=[name for name, segment in paths.items() if segment is not None and segment.min_time > horizon],
        runs=list(chains.open_ends(_runs(before, found, horizon), since=horizon - LINKED_DAYS * DAY)),
    )


def _runs(before: Generation, found: Inventory, horizon: int) -> list[Run]:
    """Returns the runs that a remaining segment may follow. Those from before the horizon follow nothing that anybody asks for."""
    listed = [chains.run_of(each.segment) for each in found.listed if each.segment is not None]
    gone = [run for run in listed if run is not None and run.until <= horizon]
    known = [run if run.since > horizon else msgspec.structs.replace(run, after=chains.UNKNOWN) for run in before.runs]
    return [*known, *gone]


def _rewritten(
    vault: TableVault, number: int, merged: Sequence[Set], horizon: int, memory: Memory, progress: Progress
) -> Set | None:
    """Writes the lines after the horizon of these sets as one set; an interrupted attempt has written the same objects."""
    store, partitions = vault.compacted, max(each.partitions for each in merged)
    set_id = compacted.set_id(number, [f"horizon {horizon}", *(each.id for each in merged)])
    store.write_sources(set_id, {})
    lines, size, seconds = 0, 0, list[int]()
    progress.phase("writing compacted objects", partitions)
    with Sorter(store, KeyReader(vault.catalog.key_schema), partitions, merged, buffer=memory.buffer) as sorter:
        for part in range(partitions):
            body, index = frames.pack(line for line in sorter.sorted_lines(part) if line.seconds > horizon)
            store.write_part(set_id, part, partitions, body)
            progress.advance(1)
            lines, size = lines + index.lines, size + len(body)
            seconds += index.seconds or ()
    new = lacking(Set(set_id, partitions, lines, size, min(seconds, default=0), max(seconds, default=0)), merged)
    return msgspec.structs.replace(new, since=max(new.since, horizon + 1)) if new.stands_for else None
