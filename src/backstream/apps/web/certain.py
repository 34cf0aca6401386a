"""Tells whether the command of a screen needs `--allow-gap`. A screen shows what is known and names the rest; a command refuses."""

from __future__ import annotations

from collections.abc import Callable

from backstream.errors import Refused
from backstream.operations.changes import ChangeWindow
from backstream.operations.changes import window as windows
from backstream.operations.inspect import safety
from backstream.vault.table_vault import TableVault


def window_has_gap(vault: TableVault, span: ChangeWindow, now: float) -> bool:
    """True if `changes` refuses a window that the vault knows only in part."""
    known = vault.window(now)
    return _is_refused(lambda: windows.check(vault, span, known, now, allow_gap=False))


def state_has_gap(vault: TableVault, at: int, now: float) -> bool:
    """True if the state of the whole table at a second is refused."""
    return _is_refused(lambda: safety.check_table(vault.catalog.table, at, vault.window(now), allow_gap=False))


def _is_refused(check: Callable[[], object]) -> bool:
    try:
        check()
    except Refused:
        return True
    return False
