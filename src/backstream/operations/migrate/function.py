"""Runs the user's function over an item, and checks its result before anything is written."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from backstream.errors import BackstreamError, Damaged, ScriptFailed
from backstream.model import migration
from backstream.model.migration import ItemRewrite
from backstream.model.values import wire
from backstream.model.values.item_limits import InvalidItem
from backstream.model.values.schema import KeySchema


class Script(Protocol):
    """A loaded script. `digest`: of its text; `native`: True if its function wants DynamoDB JSON; `takes_live`: True if it also
    takes the live item.

    `migrate` and `finish` raise ScriptFailed with the error and its line; the original is its cause.
    """

    @property
    def path(self) -> str:
        """Its path."""

    @property
    def digest(self) -> str:
        """SHA-256 of its text, in hex."""

    @property
    def native(self) -> bool:
        """True if its function wants DynamoDB JSON."""

    @property
    def takes_live(self) -> bool:
        """True if its function takes the old item and the present one."""

    def migrate(self, *items: Any) -> Any:
        """Calls the function."""

    def finish(self, counts: Mapping[str, Any]) -> None:
        """Calls the hook, if there is one."""


class Function:
    """A script's function for a table's items. It never runs twice at a time, for any caller: a script need not be thread-safe."""

    def __init__(self, script: Script, schema: KeySchema) -> None:
        self._script = script
        self._schema = schema
        self._lock = threading.Lock()

    @property
    def takes_live(self) -> bool:
        """See `Script`."""
        return self._script.takes_live

    def decide(self, key: bytes, seen: bytes, live: bytes | None) -> ItemRewrite | None:
        """Returns the rewrite of an item, None to leave it alone. Raises ScriptFailed, naming the item.

        A function with one parameter rewrites `seen`; one with two rewrites the live item.
        """
        base = live if self._script.takes_live else seen
        try:
            after = self._after(seen, live, base)
            if after is not None and after is not base:
                self._check_key(key, after)
        except ScriptFailed as error:
            raise ScriptFailed(f"{key.decode()}: {error.message}", hint=error.hint) from error
        except (InvalidItem, BackstreamError) as error:
            why = error.message if isinstance(error, BackstreamError) else str(error)
            raise ScriptFailed(f"{key.decode()}: {why} ({self._script.path})") from error
        return None if after is base else ItemRewrite(key, base, after)

    def _after(self, seen: bytes, live: bytes | None, base: bytes | None) -> bytes | None:
        native = self._script.native
        items = [migration.given(seen, native=native)]
        if self._script.takes_live:
            items.append(migration.given(live, native=native))
        with self._lock:
            result = self._script.migrate(*items)
        return migration.becomes(result, items[-1], base, native=native)

    def _check_key(self, key: bytes, after: bytes) -> None:
        try:
            same = wire.key_of(self._schema, after) == key
        except Damaged:
            same = False
        if not same:
            names = " and ".join(self._schema.names)
            raise InvalidItem(f"it changed the key ({names}): put a new item by other means, and delete this one")
