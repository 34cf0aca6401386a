"""Parses the statements of DynamoDB's PartiQL that write: their table, and the values they give for the item's key.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html. CloudTrail redacts the values of
attributes outside the key; in an INSERT it may redact all values.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.values.key_arguments import NumberText

REDACTED = "***"  # what CloudTrail shows begins with this
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<redacted>\*\*\*\(Redacted\)|\*\*\*)
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w$]*)
      | (?P<sign><<|>>|<>|!=|<=|>=|\|\||\S))""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "[": "]", "(": ")", "<<": ">>"}
_UNKNOWN = object()
_READS = ("select", "exists", "explain")


class PartiqlVerb(enum.StrEnum):
    """The effect of a statement on its item."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Statement(msgspec.Struct, frozen=True):
    """A statement that writes. `values`: the values that it gives for the item's top-level attributes, as plain JSON, numbers as
    `NumberText`.

    An attribute that is redacted, or that has two different values, is not in `values`.
    """

    verb: PartiqlVerb
    table: str
    values: Mapping[str, Any]


class _PartiqlToken(msgspec.Struct, frozen=True):
    kind: str
    text: str

    @property
    def word(self) -> str:
        """A keyword or a sign in small letters; empty for any other token."""
        return self.text.lower() if self.kind in ("word", "sign") else ""

    @property
    def name(self) -> str | None:
        """The name in the token; None if it is not a name."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text if self.kind == "word" else None


def parse(text: str, parameters: Sequence[Any] = ()) -> Statement | None:
    """Parses a statement; None if it only reads. `parameters`: the values of its `?`, as far as they are known.

    Raises ValueError if it is not a statement that DynamoDB knows.
    """
    tokens = _Tokens(text, parameters)
    first = tokens.take().word
    if first in _READS:
        return None
    if first == "insert" and tokens.take().word == "into":
        return Statement(PartiqlVerb.INSERT, tokens.table(), tokens.inserted())
    if first == "update":
        return Statement(PartiqlVerb.UPDATE, tokens.table(), tokens.conditions())
    if first == "delete" and tokens.take().word == "from":
        return Statement(PartiqlVerb.DELETE, tokens.table(), tokens.conditions())
    raise ValueError(f"not a statement of DynamoDB's: {text[:60]!r}")


class _Tokens:
    def __init__(self, text: str, parameters: Sequence[Any]) -> None:
        self._tokens = [_PartiqlToken(found.lastgroup or "", found[found.lastgroup or 0]) for found in _TOKEN.finditer(text)]
        self._parameters = list(parameters)
        self._place = 0
        self._asked = 0

    def take(self) -> _PartiqlToken:
        """Takes the next token; one without text at the end."""
        token = self._peek()
        self._place += 1
        return token

    def _peek(self, ahead: int = 0) -> _PartiqlToken:
        place = self._place + ahead
        return self._tokens[place] if 0 <= place < len(self._tokens) else _PartiqlToken("end", "")

    def table(self) -> str:
        """Takes the table's name. Raises ValueError if there is none."""
        name = self.take().name
        if name is None:
            raise ValueError("a statement without a table")
        return name

    def inserted(self) -> Mapping[str, Any]:
        """Takes the top-level values of `VALUE {'a': 1, ...}`."""
        if self.take().word != "value" or self.take().word != "{":
            raise ValueError("an INSERT without VALUE {...}")
        values: dict[str, Any] = {}
        while (token := self.take()).word != "}":
            if token.kind == "end":
                raise ValueError("an INSERT that does not end")
            if token.kind in ("text", "quoted") and self._peek().word == ":":
                self.take()
                _say(values, _unquoted(token), self._value())
        return _known(values)

    def conditions(self) -> Mapping[str, Any]:
        """Takes the values of `a = 1` in the WHERE clause, which must contain the whole key of the written item."""
        while (token := self.take()).word != "where":
            if token.kind == "end":
                raise ValueError("a statement without WHERE")
            self._count(token)
        values: dict[str, Any] = {}
        while (token := self.take()).kind != "end":
            name = token.name
            if name is None or self._peek().word != "=" or self._peek(-2).word == ".":
                self._count(token)
                continue
            self.take()
            _say(values, name, self._value())
        return _known(values)

    def _value(self) -> Any:
        """Takes the next literal or parameter; anything else is skipped."""
        token = self.take()
        if token.kind == "text":
            return _unquoted(token)
        if token.kind == "number":
            return NumberText(token.text)
        if token.word == "?":
            return self._parameter()
        if token.word in _CLOSING:
            self._skip(_CLOSING[token.word])
        return _UNKNOWN

    def _parameter(self) -> Any:
        place, self._asked = self._asked, self._asked + 1
        found = self._parameters[place] if place < len(self._parameters) else _UNKNOWN
        return _UNKNOWN if isinstance(found, str) and found.startswith(REDACTED) else found

    def _count(self, token: _PartiqlToken) -> None:
        self._asked += token.word == "?"

    def _skip(self, end: str) -> None:
        """Moves past the bracket that closes this one."""
        waiting = [end]
        while waiting and (token := self.take()).kind != "end":
            self._count(token)
            if token.word in _CLOSING:
                waiting.append(_CLOSING[token.word])
            elif token.word == waiting[-1]:
                waiting.pop()


def _unquoted(token: _PartiqlToken) -> str:
    quote = token.text[0]
    return token.text[1:-1].replace(quote * 2, quote)


def _say(values: dict[str, Any], name: str, value: Any) -> None:
    """Records an attribute's value; two different values cancel each other."""
    values[name] = value if values.get(name, value) == value else _UNKNOWN


def _known(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in values.items() if value is not _UNKNOWN}
