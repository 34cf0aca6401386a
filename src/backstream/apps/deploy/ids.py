"""The names of a table's resources: made from the table's name alone, so that no other table of a deployment can change them.

docs/notes/0056-many-tables-in-one-deployment.md has the rule, and the proof that no two tables share a name.
"""

from __future__ import annotations

import hashlib
import re

# Names such as `order-items`: each has an id that no other name of this form has, in CamelCase and in snake_case. So no digest is
# needed for them. A word of one letter would not be told from the beginning of the next word.
_PLAIN = re.compile(r"[a-z][a-z0-9]+(-[a-z][a-z0-9]+)*")
# The end of all other ids. A plain name that ends like this gets a digest, too.
_DIGEST = re.compile(r"x[0-9a-f]{16}$")
_DIGITS = 16
LONGEST = 180  # characters of an id: CloudFormation and IAM take 255, and the names of resources add to it
SHORTEST = 29  # characters that EventBridge's 64 leave beside a stack's name of 26 and the longest ending


def id_of(table: str) -> str:
    """Returns the id of a table's resources: letters and digits that begin with a capital letter, at most `LONGEST`.

    No two legal names have the same id, and neither have they the same in snake_case.
    """
    plain = _camel(table)
    if _is_plain(table) and len(plain) <= LONGEST:
        return plain
    return plain[: LONGEST - _DIGITS - 1] + _digest(table)


def short_id_of(table: str) -> str:
    """Returns the id for names with little room: the same as `id_of` if that has at most `SHORTEST` characters."""
    id_ = id_of(table)
    return id_ if len(id_) <= SHORTEST else _camel(table)[: SHORTEST - _DIGITS - 1] + _digest(table)


def former_id_of(table: str) -> str:
    """Returns the id that versions before 0.2 gave to a table unless another table's was the same."""
    words = re.split(r"[^a-zA-Z0-9]+", table)
    return "".join(word[:1].upper() + word[1:] for word in words) or "Table"


def _is_plain(table: str) -> bool:
    return _PLAIN.fullmatch(table) is not None and _DIGEST.search(table) is None


def _camel(table: str) -> str:
    joined = former_id_of(table)
    return joined if joined[0].isalpha() else f"Table{joined}"


def _digest(table: str) -> str:
    return f"X{hashlib.sha256(table.encode()).hexdigest()[:_DIGITS]}"
