"""All botocore sessions of a test process share what never differs between them: AWS's service models and what is made of these.

Each in-process command makes a session of its own, as a process of its own would. Without this each would read the same JSON files
again, make the same trees of endpoint rules and the same methods of them, and inspect the same 140 handlers. That is 0.3 s of
processor time at first, then 30 ms for each. Sessions and credentials stay each command's own. Clients do too, but for those that
are asked for again in the same words and with the same variables of the environment. A client takes 20 ms and a command makes
several: they were a third of what a test of a command took. Import this module before a session is made.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections import OrderedDict
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


_session: Any = botocore.session.Session
_create_client = _session.create_client
_CLIENTS: OrderedDict[str, Any] = OrderedDict()  # by all that they are made of; the last ones
MOST_CLIENTS = 32
HOME = os.environ.get("HOME")
FILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")  # their contents may change


def _shared_client(self: Any, *words: Any, config: Any = None, **named: Any) -> Any:
    """A client that was made of the same things, or a new one."""
    given = self._credentials is not None and self._credentials.method == "explicit"
    if given or self.profile or os.environ.get("HOME") != HOME or any(each in os.environ for each in FILES):
        return _create_client(self, *words, config=config, **named)
    environment = {name: value for name, value in os.environ.items() if "AWS" in name or "PROXY" in name.upper()}
    options = config and sorted(map(repr, config._user_provided_options.items()))
    key = repr((words, sorted(named.items()), options, self.get_config_variable("region"), sorted(environment.items())))
    client = _CLIENTS.pop(key, None)
    if client is None:
        client = _create_client(self, *words, config=config, **named)
    elif named.get("aws_access_key_id") is None:
        self.get_credentials()  # a session learns them with its first client, and has them from then on
    _CLIENTS[key] = client
    if len(_CLIENTS) > MOST_CLIENTS:
        _CLIENTS.popitem(last=False)
    return client


_session.create_client = _shared_client

_hooks.accepts_kwargs = _takes_words
_hooks.EventAliaser.__init__ = _with_known_aliases
