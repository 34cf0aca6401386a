"""All botocore sessions of a test process share what never differs between them: AWS's service models and what is made of these.

Each in-process command makes a session of its own, as a process of its own would. Without this each would read the same JSON files
again, make the same trees of endpoint rules and the same methods of them, and inspect the same 140 handlers. That is 0.3 s of
processor time at first, then 30 ms for each. Sessions, clients and credentials stay each command's own. Import this module before a
session is made.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType, MethodType
from typing import Any

import botocore.client
import botocore.endpoint_provider
import botocore.hooks
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

_METHODS: dict[int, tuple[Any, Any]] = {}  # by the model's identity, as above
_creator: Any = botocore.client.ClientCreator
_create_methods = _creator._create_methods


def _methods(self: Any, service_model: Any) -> Any:
    """A client's methods, which know nothing of the client: in a dict of its own, to which hooks may add."""
    described = service_model._service_description
    if id(described) not in _METHODS:
        _METHODS[id(described)] = described, _create_methods(self, service_model)
    return dict(_METHODS[id(described)][1])


_creator._create_methods = _methods

_hooks: Any = botocore.hooks
_accepts_kwargs = _hooks.accepts_kwargs
_make_aliaser = _hooks.EventAliaser.__init__
_ALIASED: dict[str, str] = {}  # an event's name -> the name by today's names of services


def _takes_words(handler: Any) -> Any:
    """Whether a handler takes any keyword. Of a function its code says so, without an inspection of all its parameters."""
    function = handler.__func__ if isinstance(handler, MethodType) else handler
    return function.__code__.co_flags & inspect.CO_VARKEYWORDS if isinstance(function, FunctionType) else _accepts_kwargs(handler)


def _with_known_aliases(self: Any, event_emitter: Any, event_aliases: Any = None) -> None:
    _make_aliaser(self, event_emitter, event_aliases)
    if event_aliases is None:
        self._alias_name_cache = _ALIASED


_hooks.accepts_kwargs = _takes_words
_hooks.EventAliaser.__init__ = _with_known_aliases
