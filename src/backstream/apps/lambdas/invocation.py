"""One invocation of a Lambda function: how long it may take, and which settings its parts are made of."""

from __future__ import annotations

import os
from typing import Protocol

LONGEST = 900.0  # seconds that an invocation may take: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
NO_CONTEXT_SECONDS = 30.0
LEAST = 0.3  # seconds that a batch is given however late it comes: something has to be reported


class Context(Protocol):
    """What a handler needs of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""


def seconds_left(context: Context | None, otherwise: float) -> float:
    """Until Lambda ends this invocation; `otherwise` where nobody says, as on a desk."""
    return otherwise if context is None else context.get_remaining_time_in_millis() / 1_000


def seconds_for_batch(context: Context | None) -> float:
    """As `seconds_left`, for a stream's records."""
    return max(LEAST, seconds_left(context, NO_CONTEXT_SECONDS))


def settings(*prefixes: str) -> tuple[tuple[str, str], ...]:
    """The environment's variables of these prefixes: as long as they are the same, so are clients that were made of them."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(prefixes)))
