"""Refuses a reason that names the subject: the reason stays in the record of the erasure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from backstream.errors import UsageError
from backstream.operations.erase.request import EraseRequest
from backstream.operations.erase.searching import Search
from backstream.operations.erase.subject import Subject
from backstream.vault.erasure.erasures import Erasure
from backstream.vault.table_vault import TableVault

SHORTEST = 3  # letters of a name: shorter ones are in many sentences


def check_reason(vault: TableVault, request: EraseRequest, erasure: Erasure, keys: Collection[bytes]) -> None:
    """Raises UsageError if the reason holds a key of the subject, or a text of one, or the tenant's name, as a word."""
    named = next((each for each in _names(request, keys) if _is_word(each, request.reason)), None)
    if named is not None or Search(vault, Subject([erasure])).is_within(request.reason):
        what = "a key" if named is None else repr(named)
        raise UsageError(
            f"the reason names what is to be erased ({what}), and it stays in the record of the erasure",
            hint="Give the number of the request instead. Nothing was changed.",
        )


def _names(request: EraseRequest, keys: Collection[bytes]) -> Iterator[str]:
    yield from (each for each in (request.tenant, request.partition) if each is not None and len(each) >= SHORTEST)
    for key in keys:
        values = msgspec.json.decode(key, type=dict[str, dict[str, str]]).values()
        yield from (text for each in values if len(text := each.get("S", "")) >= SHORTEST)


def _is_word(text: str, sentence: str) -> bool:
    return text in sentence and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", sentence) is not None
