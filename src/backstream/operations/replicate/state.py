"""The progress of a replica, in a small file: the position in each shard of the source's stream.

Losing it does no harm to the target: the stream's remaining records are read again. But only with this file can it detect, after a
long absence, that the stream has dropped changes meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import Failed, Refused, UsageError
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.object_limits import RECORD
from backstream.operations.capture.shards import ShardPosition

KEPT = 2 * 86_400  # seconds


class ReplicaHead(msgspec.Struct, frozen=True):
    """The identity of the state: the tables' ARNs and the stream's label. `source_id`: the source's, empty in older files."""

    source: str
    target: str
    stream: str
    source_id: str = ""


class ReplicaState(msgspec.Struct, frozen=True):
    """`known`: the second up to which all changes were in the target; None while that is not known."""

    head: ReplicaHead
    shards: Mapping[str, ShardPosition]
    known: int | None = None


class StateFile:
    """Holds the state of one replica, and writes it when it is told to. Safe to use from many threads."""

    def __init__(self, path: Path, head: ReplicaHead) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = before = load(path, head) or ReplicaState(head, {})
        self.before: ReplicaState | None = before if path.exists() else None
        if before.head.stream != head.stream:
            self._state = ReplicaState(head, {}, before.known)

    @property
    def shards(self) -> Mapping[str, ShardPosition]:
        """The progress in each shard; none for a stream that is no longer the table's."""
        return self._state.shards

    def reach(self, shard: str, reached: ShardPosition) -> None:
        """Notes the position up to which the target is like the source; not yet in the file."""
        with self._lock:
            self._state = msgspec.structs.replace(self._state, shards={**self._state.shards, shard: reached})

    def write(self, known: int) -> None:
        """Writes the file whole, or not at all. Raises Failed, naming the file, if it cannot be written."""
        with self._lock:
            # A shard that ended two days ago is not needed again: the stream keeps one day.
            shards = {shard: each for shard, each in self._state.shards.items() if each.seconds >= known - KEPT}
            self._state = msgspec.structs.replace(self._state, shards=shards, known=known)
            try:
                private_files.replace(self._path, msgspec.json.format(msgspec.json.encode(self._state)) + b"\n")
            except OSError as error:
                raise Failed(f"{self._path} cannot be written: {error.strerror}", hint="Name another file: --state.") from error


def load(path: Path, head: ReplicaHead) -> ReplicaState | None:
    """Returns the state in the file, None if there is no file.

    Raises Refused if it belongs to other tables, or is not such a file.
    """
    try:
        state = msgspec.json.decode(private_files.read(path, RECORD), type=ReplicaState)
    except FileNotFoundError:
        return None
    except (OSError, UsageError, *UNDECODABLE) as error:
        raise Refused(f"{path} is not the state of a replica: {reason(error)}", hint="Name another file: --state.") from error
    if (state.head.source, state.head.target) != (head.source, head.target):
        raise Refused(
            f"{path} is the state of another replica, from {state.head.source} to {state.head.target}",
            hint="Name another file: --state.",
        )
    return state
