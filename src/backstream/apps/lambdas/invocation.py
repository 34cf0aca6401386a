"""One invocation of a Lambda function: its time, and the settings that its parts are made of."""

from __future__ import annotations

import os
from typing import Protocol

LONGEST = 900.0  # seconds that an invocation may take: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
NO_CONTEXT_SECONDS = 30.0
LEAST = 0.3  # seconds that a batch is given however late it comes: something has to be reported


class Context(Protocol):
    """The part of Lambda's context object that a handler needs."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""


def seconds_left(context: Context | None, otherwise: float) -> float:
    """Returns the seconds until Lambda ends this invocation; `otherwise` if there is no context, as outside of Lambda."""
    return otherwise if context is None else context.get_remaining_time_in_millis() / 1_000


def seconds_for_batch(context: Context | None) -> float:
    """Returns the same as `seconds_left`, for a stream's records."""
    return max(LEAST, seconds_left(context, NO_CONTEXT_SECONDS))


def settings(*prefixes: str) -> tuple[tuple[str, str], ...]:
    """Returns the environment's variables with these prefixes: while they are unchanged, clients made from them stay valid."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(prefixes)))
