"""What a restore could not write is kept in a file; `resume` writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from backstream.errors import UsageError
from backstream.operations.restore.request import Failure, Restored
from backstream.operations.writing import LeftOut, Writer, as_request, from_request
from backstream.ports import Clock, Put, Table, Write


class _Head(msgspec.Struct):
    restore: str  # the id that `--resume` takes
    table: str
    at: str
    target: str


def path_for(restore: str, folder: Path) -> Path:
    """The file of a restore's id."""
    return folder / f"backstream-restore-{restore}.ndjson"


def save(path: Path, report: Restored, target: str, left: Sequence[LeftOut]) -> None:
    """Name every write that was not done: a first line that says of what, then one line for each, in DynamoDB's own form."""
    head = _Head(restore=path.stem.removeprefix("backstream-restore-"), table=report.table, at=report.at, target=target)
    lines = [msgspec.json.encode(head), *(as_request(each.write) for each in left)]
    path.write_bytes(b"\n".join(lines) + b"\n")


def resume(path: Path, table_of: Callable[[str], Table], clock: Clock, *, patience: float = 30.0) -> Restored:
    """Write what is left of a restore. What still cannot be written stays in the file; when nothing is left, the file goes.

    UsageError where there is no such file, or it is none of ours.
    """
    began = clock.now()
    head, writes = _load(path)
    writer = Writer(table_of(head.target), clock, patience=patience)
    puts = deletes = 0
    for write in writes:
        writer.add(write)
        puts, deletes = (puts + 1, deletes) if isinstance(write, Put) else (puts, deletes + 1)
    writer.finish()
    report = Restored(
        table=head.table,
        at=head.at,
        target=head.target,
        put=puts - sum(isinstance(each.write, Put) for each in writer.left_out),
        deleted=deletes - sum(not isinstance(each.write, Put) for each in writer.left_out),
        unchanged=0,
        failed=len(writer.left_out),
        dry_run=False,
        seconds=round(clock.now() - began, 3),
        failures=[named(each) for each in writer.left_out],
        left=str(path) if writer.left_out else None,
    )
    if writer.left_out:
        save(path, report, head.target, writer.left_out)
    else:
        path.unlink()
    return report


def named(left: LeftOut) -> Failure:
    """A write that was not done, for people."""
    return Failure(as_request(left.write).decode()[:200], left.reason)


def _load(path: Path) -> tuple[_Head, list[Write]]:
    try:
        lines = iter(path.read_bytes().splitlines())
        return msgspec.json.decode(next(lines, b""), type=_Head), list(_writes(lines))
    except OSError as error:
        raise UsageError(f"no restore to resume: {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"not the file of a restore: {path}: {error}") from error


def _writes(lines: Iterator[bytes]) -> Iterator[Write]:
    return (from_request(line) for line in lines if line.strip())
