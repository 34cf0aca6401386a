"""A table for tests that does the writes of `write_each` one after another, by its own `write_if`: who overrides that sees each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstream.errors import BackstreamError
from backstream.ports import ConditionalWrite


class OneAtATime:
    """The base of such a table. It has a `write_if`."""

    def write_each(self, writes: Sequence[ConditionalWrite]) -> list[bool | BackstreamError]:
        return [self._outcome(each) for each in writes]

    def _outcome(self, each: ConditionalWrite) -> bool | BackstreamError:
        table: Any = self
        try:
            return bool(table.write_if(each.write, each.before))
        except BackstreamError as error:
            return error
