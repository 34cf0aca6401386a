"""Counts the changes of a window one by one, without their images: by event and time, and the keys that change most."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.history.timeline import Bar
from backstream.engine.local.memory import Memory
from backstream.operations.changes import ChangeWindow
from backstream.operations.changes.reading import WindowLog
from backstream.vault.table_vault import TableVault

MOST = 200_000  # changes that are counted one by one
BUSIEST = 10


class Kinds(msgspec.Struct, frozen=True):
    """The counts.

    `bars`: by event; `busiest`: keys and the number of their changes; `unread`: descriptions of unreadable objects.
    """

    bars: list[Bar]
    events: dict[str, int]
    items: int
    busiest: list[tuple[bytes, int]]
    unread: list[str]


def kinds(vault: TableVault, span: ChangeWindow, step: int, token: StopToken, memory: Memory) -> Kinds:
    """Counts the changes. One that was captured twice counts once; a read of the table does not count."""
    unread: list[str] = []
    seen: set[tuple[str, str, bytes]] = set()
    keys: Counter[bytes] = Counter()
    steps: dict[int, Counter[str]] = defaultdict(Counter)
    for piece in WindowLog(vault, span, unread.append, memory=memory).pieces():
        token.check()
        for entry in piece.entries:
            place = (entry.stream, entry.sequence, entry.keys)
            if entry.scanned or place in seen:
                continue
            seen.add(place)
            keys[vault.key(entry)] += 1
            steps[entry.seconds // step][entry.event] += 1
    total: Counter[str] = Counter()
    for each in steps.values():
        total.update(each)
    bars = [
        Bar(number * step, (number + 1) * step - 1, float(sum(steps[number].values())), dict(steps[number]))
        for number in range((span.since + 1) // step, span.until // step + 1)
    ]
    return Kinds(bars, dict(total), len(keys), sorted(keys.items(), key=lambda each: (-each[1], each[0]))[:BUSIEST], unread)
