"""What differed at a first look, looked at again and again: until it is the same, or has stood still for long enough.

A comparison of two sides that change meanwhile finds suspects, no more. They lie on disk, each with its last sight, since they may
be as many as the table's rows.
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

S = TypeVar("S", bound=Observation)
Before = TypeVar("Before")
Found = TypeVar("Found")


class ComparedRows(msgspec.Struct, frozen=True):
    """What a comparison found. Counts are rows, `keys` the keys of all that are not the same, by kind.

    `missing`: in the table, not in its copy; `extra`: in the copy, not in the table; `in_flight`: they differed at each look, but
    changed meanwhile. `failed`: what could not be read, or not be mended, named in `failures`. `at`: when it began.
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
        """How many rows and objects are not as they should be, for good."""
        return self.differences + self.failed

    @property
    def differences(self) -> int:
        """How many rows differ for good."""
        return self.missing + self.extra + self.different


class Suspects(Generic[S]):
    """Items that differed, each with its last sight, of the type `sight`. `buffer`: bytes that are kept back, see `spill`."""

    def __init__(self, sight: type[S], buffer: int) -> None:
        self._spill = Pairs(1, buffer=buffer)
        self._decoder = msgspec.msgpack.Decoder(sight)
        self.count = 0

    def add(self, key: bytes, sight: S) -> None:
        """One more."""
        self._spill.add(key, msgspec.msgpack.encode(sight))
        self.count += 1

    def __iter__(self) -> Iterator[tuple[bytes, S]]:
        return ((key, self._decoder.decode(value)) for key, value in self._spill.read(0))

    def close(self) -> None:
        """Leave nothing on disk; harmless to do twice."""
        self._spill.close()


def until_still(
    suspects: Suspects[S], again: Callable[[Suspects[S]], Suspects[S]], clock: Clock, progress: Progress, patience: float
) -> Suspects[S]:
    """Look `again` at what differs, `LOOKS` times within `patience` seconds; what is left after that. The others are closed."""
    for _ in range(LOOKS):
        if not suspects.count:
            break
        progress.phase(f"{suspects.count:,} rows differ: waiting for what is on its way", None)
        clock.sleep(patience / LOOKS)
        before, suspects = suspects, again(suspects)
        before.close()
    return suspects


def by_verdict(suspects: Iterable[tuple[bytes, Observation]]) -> dict[ComparisonKind, list[bytes]]:
    """The keys of what is left, by what is to be said of them, in order."""
    keys: dict[ComparisonKind, list[bytes]] = {kind: [] for kind in (*DIFFERENCES, ComparisonKind.IN_FLIGHT)}
    for key, sight in suspects:
        keys[sight.verdict].append(key)
    return {kind: sorted(found) for kind, found in keys.items()}


def counted(keys: Mapping[ComparisonKind, Sequence[bytes]]) -> dict[str, int]:
    """How many they are, by the names of `ComparedRows`'s counts."""
    return {kind.value: len(found) for kind, found in keys.items()}


def named(keys: Mapping[ComparisonKind, Sequence[bytes]]) -> dict[str, list[msgspec.Raw]]:
    """The keys as a report gives them."""
    return {kind.value: [msgspec.Raw(key) for key in found] for kind, found in keys.items()}


def read_again(
    suspects: Iterable[tuple[bytes, Before]],
    fetch: Callable[[Sequence[tuple[bytes, Before]]], Found],
    most: int,
    weight: Callable[[Before], int],
) -> Iterator[tuple[Sequence[tuple[bytes, Before]], Found]]:
    """Batches of keys, each with how its item looked before, and what `fetch` found of them, a few at once.

    `most`: about so many bytes of images are held; `weight`: those of how one looked.
    """

    def held(batch: Sequence[tuple[bytes, Before]]) -> int:
        """What a batch holds and will fetch; `most` lets as many be under way as there are fetchers."""
        return max(2 * sum(weight(each) for _, each in batch), most // FETCHERS)

    with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool:
        for batch, fetching in ahead(pool, fetch, batches(suspects, FETCHED), most, weight=held):
            yield batch, fetching()
