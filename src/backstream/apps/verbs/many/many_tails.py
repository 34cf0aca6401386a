"""`Vault.tail`: the tails of several tables in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from backstream.apps.config import Config
from backstream.apps.selection.selecting import select
from backstream.apps.selection.table_selection import TableSelection
from backstream.apps.verbs.capturing import Capturing
from backstream.operations.capture.many_tails import SETTINGS, ManyTails, TableResult
from backstream.operations.capture.shards import Share, Wrote
from backstream.operations.capture.tail import TailReport


def tail(
    config: Config,
    backup: Callable[[str], Capturing],
    asked: TableSelection,
    until_caught_up: bool,  # noqa: FBT001 - `Vault.tail` has it by name
    stop: threading.Event,
    notice: Callable[[str], None],
    wrote: Callable[[str, Wrote], None],
) -> list[TableResult]:
    """Returns the last result of each table: see `Vault.tail`."""

    def run(table: str, stop: threading.Event, share: Share) -> TailReport:
        return backup(table).tail(
            until_caught_up=until_caught_up,
            stop=stop,
            notice=lambda text: notice(f"{table}: {text}"),
            settings=SETTINGS,
            wrote=partial(wrote, table),
            share=share,
        )

    tails = ManyTails(partial(select, config, asked, unknown_too=True), run, config.clock, stop, notice)
    return tails.run(until_caught_up=until_caught_up)
