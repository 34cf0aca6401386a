"""Lists the errors that decoders raise for invalid bytes, so that such bytes are reported and nothing else stops.

msgspec raises more than its own errors. It raises RecursionError for a value that is nested too deep, anywhere in the text, and
Python's own ValueError and OverflowError for numbers of thousands of digits.
"""

from __future__ import annotations

import msgspec

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
MISSHAPEN = (*UNDECODABLE, KeyError, TypeError, AttributeError)  # of decoded JSON that is read as something that it is not
DEEPEST = 40  # levels of maps and lists in an item: DynamoDB allows 32
_LONGEST = 300  # characters that are repeated of what a decoder says


def reason(error: Exception) -> str:
    """Returns why bytes cannot be decoded, in a few words. Data that a decoder repeats is cut."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    text = str(error)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
