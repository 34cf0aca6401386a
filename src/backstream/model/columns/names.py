"""Names of typed columns: ASCII, unique without regard to case, made from attributes' names.

Engines merge names that differ only in case, and read a dot as a path. So a name is letters, digits and `_`, with the type at its
end (`status_s`). It has a part of the attribute's SHA-256 where letters alone would not tell two attributes apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator

MOST_LETTERS = 50  # of an attribute's name; some engines allow 63 in all
CUT = 36  # letters that are left of a name which is changed
DIGITS = (8, 16, 64)  # of the SHA-256: more where fewer are taken
NULLS, UNFIT = "_null", "_unfit"

_SAFE = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{MOST_LETTERS - 1}}}").fullmatch
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


def column_name(attribute: str, suffix: str, taken: Collection[str]) -> str:
    """Returns the name of a new column. `suffix`: as in `_s`; `taken`: the names that are in use, in lower case."""
    return next(each for each in _candidates(attribute, suffix) if each.lower() not in taken)


def _candidates(attribute: str, suffix: str) -> Iterator[str]:
    if _SAFE(attribute):
        yield attribute + suffix
    letters = _UNSAFE.sub("_", attribute[:CUT]).strip("_")
    if not letters[:1].isalpha():
        letters = f"c_{letters}".rstrip("_")
    digest = hashlib.sha256(attribute.encode("utf-8", "surrogatepass")).hexdigest()
    for length in DIGITS:
        yield f"{letters}_{digest[:length]}{suffix}"
    raise RuntimeError(f"no name is left for a column of {attribute!r}")  # it has one already
