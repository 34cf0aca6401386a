"""All botocore sessions of a test process read AWS's service models once, and together.

Each in-process command makes a session of its own, as a process of its own would. Without this each would read the same JSON files
again, and make the same trees of endpoint rules of them: 0.3 s of processor time. Import this module before a session is made.
"""

from __future__ import annotations

import functools
from typing import Any

import botocore.endpoint_provider
import botocore.session

botocore.session.create_loader = functools.cache(botocore.session.create_loader)

_MADE: dict[
    int, tuple[Any, Any]
] = {}  # by the model's identity, which is the loader's one copy; the model is kept, so it stays that
_library: Any = botocore.endpoint_provider
_RuleSet = _library.RuleSet


def _rule_set(**words: Any) -> Any:
    """The rules of one service, which nobody changes: their evaluation copies what it is given."""
    rules = words["rules"]
    if id(rules) not in _MADE:
        _MADE[id(rules)] = rules, _RuleSet(**words)
    return _MADE[id(rules)][1]


_library.RuleSet = _rule_set
