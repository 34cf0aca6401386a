"""Rechecks items that differed at a first look, until they are equal, or have been unchanged for long enough.

A comparison of two sides that change meanwhile finds only suspects. They are on disk, each with its last observation, since they
may be as many as the table's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from backstream.engine.local.prefetch import ahead, batches
from backstream.engine.local.spill import Pairs
from backstream.model.changes.comparison import DIFFERENCES, ComparisonKind, Observation
from backstream.operations.bulk.progress import Progress
from backstream.operations.restore import Failure
from backstream.ports import Clock

FETCHERS = 4
FETCHED = 100  # items read again at once: as many as one BatchGetItem takes
PATIENCE = 30.0
LOOKS = 8  # at what differs, spread over the patience: a row that keeps changing is caught equal sooner or later

S = TypeVar("S", bound=msgspec.Struct)
Before = TypeVar("Before")
Found = TypeVar("Found")


class ComparedRows(msgspec.Struct, frozen=True):
    """The result of a comparison. Counts are rows; `keys` holds the keys of all rows that are not the same, by kind.

    `missing`: in the table, not in its copy; `extra`: in the copy, not in the table; `in_flight`: they differed at each look, but
    changed meanwhile. `failed`: rows that could not be read or mended, named in `failures`. `at`: when it began.
    """

    table: str
    at: str
    same: int
    missing: int
    extra: int
    different: int
    in_flight: int
    failed: int
    keys: Mapping[str, Sequence[msgspec.Raw]]
    seconds: float
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    repaired: int = 0

    @property
    def wrong(self) -> int:
        """The number of rows and objects that are permanently wrong."""
        return self.differences + self.failed

    @property
    def differences(self) -> int:
        """The number of rows that differ permanently."""
        return self.missing + self.extra + self.different


class Suspects(Generic[S]):
    """Items that differed, each with its last observation, of the type `sight`. `buffer`: bytes that are buffered, see `spill`."""

    def __init__(self, sight: type[S], buffer: int) -> None:
        self._spill = Pairs(1, buffer=buffer)
        self._decoder = msgspec.msgpack.Decoder(sight)
        self.count = 0

    def add(self, key: bytes, sight: S) -> None:
        """Adds one."""
        self._spill.add(key, msgspec.msgpack.encode(sight))
        self.count += 1

    def __iter__(self) -> Iterator[tuple[bytes, S]]:
        return ((key, self._decoder.decode(value)) for key, value in self._spill.read(0))

    def close(self) -> None:
        """Leaves nothing on disk. A second call does no harm."""
        self._spill.close()


def until_still(
    suspects: Suspects[S],
    again: Callable[[Suspects[S]], Suspects[S]],
    clock: Clock,
    progress: Progress,
    patience: float,
    *,
    what: str = "rows",
) -> Suspects[S]:
    """Looks `again` at the differing items, `LOOKS` times within `patience` seconds, and returns the remaining ones.

    The others are closed. `what`: the word for the items in the progress.
    """
    for _ in range(LOOKS):
        if not suspects.count:
            break
        progress.phase(f"{suspects.count:,} {what} differ: waiting for changes that are on their way", None)
        clock.sleep(patience / LOOKS)
        before, suspects = suspects, again(suspects)
        before.close()
    return suspects


def by_verdict(suspects: Iterable[tuple[bytes, Observation]]) -> dict[ComparisonKind, list[bytes]]:
    """Returns the keys of the remaining items, by their verdict, in order."""
    keys: dict[ComparisonKind, list[bytes]] = {kind: [] for kind in (*DIFFERENCES, ComparisonKind.IN_FLIGHT)}
    for key, sight in suspects:
        keys[sight.verdict].append(key)
    return {kind: sorted(found) for kind, found in keys.items()}


def counted(keys: Mapping[ComparisonKind, Sequence[bytes]]) -> dict[str, int]:
    """Returns their number, by the names of `ComparedRows`'s counts."""
    return {kind.value: len(found) for kind, found in keys.items()}


def named(keys: Mapping[ComparisonKind, Sequence[bytes]]) -> dict[str, list[msgspec.Raw]]:
    """Returns the keys in the form of a report."""
    return {kind.value: [msgspec.Raw(key) for key in found] for kind, found in keys.items()}


def read_again(
    suspects: Iterable[tuple[bytes, Before]],
    fetch: Callable[[Sequence[tuple[bytes, Before]]], Found],
    most: int,
    weight: Callable[[Before], int],
) -> Iterator[tuple[Sequence[tuple[bytes, Before]], Found]]:
    """Yields batches of keys, each with its item's last observation, and the result of `fetch`, a few at once.

    `most`: the approximate limit of the images' bytes in memory; `weight`: the bytes of one observation.
    """

    def held(batch: Sequence[tuple[bytes, Before]]) -> int:
        """Returns the bytes that a batch holds and will fetch; `most` lets as many batches be under way as there are fetchers."""
        return max(2 * sum(weight(each) for _, each in batch), most // FETCHERS)

    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
        for batch, fetching in ahead(pool, fetch, batches(suspects, FETCHED), most, weight=held):
            yield batch, fetching()
