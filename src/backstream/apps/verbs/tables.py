"""The library's functions for live tables, without a vault: `backstream.diff`, `backstream.dump`, `backstream.replicate`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from backstream.apps.aws.locations import TablePlace
from backstream.apps.config import Config
from backstream.apps.verbs.arguments import SEGMENTS, Key, resumable_folder, url_of
from backstream.apps.verbs.dumps import held_in
from backstream.errors import UsageError
from backstream.model.values.key_arguments import parse_key
from backstream.model.values.schema import KeySchema
from backstream.operations import replicate as replicating
from backstream.operations.base import dump as dumping
from backstream.operations.base.dump import Dumped, ScanOptions
from backstream.operations.bulk.held_items import HeldItems
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate_limited_scan import check_reading
from backstream.operations.compare import diff as differing
from backstream.operations.compare.diff import DiffContext, Diffed, How
from backstream.operations.compare.recheck import PATIENCE
from backstream.operations.replicate import Deletes, Replicated, Replicating
from backstream.ports import Table
from backstream.vault.dumps.dumps import Compression
from backstream.vault.dumps.held import HeldTable, keys_of
from backstream.vault.dumps.opening import FileOptions

__all__ = ["TablePlace", "diff", "dump", "replicate"]


def diff(
    table: str,
    table2: str | None = None,
    *,
    from_file: str | Path | None = None,
    files: FileOptions | None = None,
    place: TablePlace | None = None,
    repair: bool = False,
    keys: Iterable[Key] | None = None,
    segments: int = SEGMENTS,
    max_read_units: float | None = None,
    patience: float = PATIENCE,
    progress: Progress | None = None,
) -> Diffed:
    """Compares two live tables, in both directions; changes in flight are not differences. No vault is needed.

    `from_file`: compare the items that a folder, a file or a URL holds with `table` instead; `files`: how they are written;
    `place`: the place of `table2`; `repair`: make differing rows like in `table`, by conditional writes; `keys`: only these items;
    `max_read_units`: a second at most, of each table. Raises Refused if they are one table, or have different key schemas.
    """
    check_reading(segments, max_read_units)
    if patience < 0:
        raise UsageError(f"not a patience: {patience:g}", hint="Seconds, 0 or more.")
    here = Config()
    there = here if place is None else here.elsewhere(place)
    if (table2 is None) == (from_file is None):
        raise UsageError("nothing to compare with", hint="Name TABLE2, or give --from-file PATH.")
    if from_file is not None and (repair or place is not None):
        raise UsageError("files are only compared", hint="`restore --from-file --in-place` makes a table like them.")
    if from_file is not None:
        how = How(segments=segments, max_units=max_read_units, patience=patience)
        around = DiffContext(here.clock, progress or Silent(), here.memory)
        return _with_files(here.table(table), held_in(here, from_file, table, files or FileOptions()), keys, how, around)
    one, two = here.table(table), there.table(table2 or "")
    wanted = None if keys is None else _keys(one.facts().schema, keys)
    how = How(keys=wanted, segments=segments, max_units=max_read_units, patience=patience, repair=repair)
    return differing.diff(one, two, how, DiffContext(here.clock, progress or Silent(), here.memory))


def _with_files(live: Table, held: HeldTable, keys: Iterable[Key] | None, how: How, around: DiffContext) -> Diffed:
    described = keys_of(msgspec.json.decode(live.facts().description), live.name)
    wanted = None if keys is None else _keys(described.schema, keys)
    with HeldItems(held, described) as items:
        found = differing.diff(items, live, msgspec.structs.replace(how, keys=wanted), around)
        twice = [f"{items.repeated:,} items have the key of a later one in the files"] if items.repeated else []
    return msgspec.structs.replace(found, warnings=[held.facts.limits, *twice, *found.warnings])


def _keys(schema: KeySchema, keys: Iterable[Key]) -> list[bytes]:
    return [parse_key(schema, each if isinstance(each, str) else json.dumps(each)) for each in keys]


def dump(
    table: str,
    to: str | Path,
    *,
    compress: Compression | str = Compression.GZIP,
    segments: int = SEGMENTS,
    max_read_units: float | None = None,
    consistent: bool = True,
    progress: Progress | None = None,
) -> Dumped:
    """Copies a table's items into a bucket (`s3://bucket/prefix`) or a folder, as lines of `{"Item":...}`. Not a point in time.

    `max_read_units`: a second at most; `consistent=False` halves the consumed units. Raises TargetNotEmpty if a dump exists there
    already.
    """
    check_reading(segments, max_read_units)
    config = Config()
    reading = ScanOptions(segments=segments, max_units=max_read_units, consistent=consistent)
    return dumping.dump(
        config.table(table), config.files(url_of(to)), reading, config.clock, compress=Compression(compress), progress=progress
    )


def replicate(
    table: str,
    to: str,
    *,
    place: TablePlace | None = None,
    deletes: Deletes | str = Deletes.ALL,
    copy: bool = False,
    state: str | Path | None = None,
    until_caught_up: bool = False,
    stop: threading.Event | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Replicated:
    """Keeps the table `to` like `table`, from its stream, until `stop` is set, or until there is nothing left to read.

    `place`: the place of `to`; `deletes`: the deletes that are replicated; `copy`: also copy the table's existing items; `state`:
    the file with its progress. Raises Refused if the tables do not fit each other.
    """
    here = Config()
    there = here if place is None else here.elsewhere(place)
    around = Replicating(
        source=here.table(table),
        target=there.table(to),
        streams=here.stream,
        clock=here.clock,
        stop=stop or threading.Event(),
        notice=notice,
        say=notice,
    )
    path = (
        Path(state) if state is not None else resumable_folder() / f"replicate-{_in_file_name(table)}-to-{_in_file_name(to)}.json"
    )
    return replicating.replicate(
        around, replicating.ReplicateOptions(path, Deletes(deletes), copy=copy, until_caught_up=until_caught_up)
    )


def _in_file_name(table: str) -> str:
    """A table's name or ARN as a part of a file's name: an ARN has a slash and colons."""
    return table.replace("/", "_").replace(":", "_")
