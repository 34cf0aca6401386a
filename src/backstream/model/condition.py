"""Conditions on an item's attributes, as people write them: `status = "paid" and not (total < 10.5 or note missing)`.

    condition  = term { "or" term }              term = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | test
    test       = path ( "exists" | "missing" | operator literal )
    operator   = "=" "!=" "<" "<=" ">" ">=" "begins_with" "contains"
    path       = name { "." name }               into maps; a name of other characters is a JSON string: "odd name"."a.b"
    literal    = a JSON string, a number, true, false or null

Types never mix: every comparison with an attribute of another type, or with a missing one, is false, `!=` included; then `not
status = "paid"` is true. Numbers are compared by value with all their digits, strings by their UTF-8 bytes, as DynamoDB does.
`contains` tests for a part of a string, or for an element of a set or a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from backstream.errors import Damaged, UsageError
from backstream.model.values import numbers, wire

MOST_NESTED = 100

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<sign>!=|<=|>=|[=<>().])
      | (?P<word>[^\W\d][\w-]*)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_ORDER: Mapping[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
_EQUALITY = ("=", "!=")
_OPERATORS = (*_ORDER, "begins_with", "contains", "exists", "missing")
_WORDS = ("and", "or", "not")
_CONDITION = ("not a condition", 'Write it like this: status = "paid" and (total >= 10.5 or note missing).')
_PATH = ("not a path to an attribute", 'Write it like this: updatedBy, or meta.by, or "odd name"."a.b".')
_CONSTANTS: Mapping[str, dict[str, Any]] = {"true": {"BOOL": True}, "false": {"BOOL": False}, "null": {"NULL": True}}

Item = Mapping[str, Any]
Test = Callable[[Item], bool]


class Condition:
    """A parsed condition. Raises UsageError, naming the position, if `text` is not one.

    `names`: the attributes that it tests, as paths into maps with dots. `attributes`: the item's own attributes that it looks into.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parser = _Parser(text)
        self._test = parser.whole()
        self.names: list[str] = [".".join(path) for path in parser.paths]
        self.attributes = frozenset(path[0] for path in parser.paths)  # a name may hold dots itself

    def matches(self, image: bytes) -> bool:
        """True if an image (DynamoDB JSON) satisfies it. Raises Damaged if the bytes are not an image."""
        return self._test(wire.decode(image))


def path_of(text: str) -> tuple[str, ...]:
    """Returns the names along a path into maps, as a condition writes it (`meta.by`). Raises UsageError if `text` is not one."""
    return _Parser(text, path=True).whole_path()


def value_at(image: bytes, path: tuple[str, ...]) -> Any | None:
    """Returns the typed value (`{"S":"a"}`) at a path of an image; None if there is none.

    Raises Damaged if the bytes are not an image.
    """
    first = wire.attribute(image, path[0])
    return None if first is None else _at({path[0]: first}, path)


# --- what it means ----------------------------------------------------------------------------------------------------------------


def _typed(value: Any) -> tuple[str, Any]:
    if not wire.well_formed(value):
        raise Damaged(f"not an attribute value in DynamoDB JSON: {value!r:.80}")
    ((kind, inner),) = value.items()
    return kind, inner


def _at(item: Item, path: tuple[str, ...]) -> Any | None:
    """Returns the typed value at a path; None if there is none."""
    fields: Any = item
    for name in path[:-1]:
        value = fields.get(name)
        if value is None:
            return None
        kind, fields = _typed(value)
        if kind != "M":
            return None
    return fields.get(path[-1])


def _compared(value: Any, operator: str, literal: dict[str, Any]) -> bool:
    ((kind, wanted),) = literal.items()
    found_kind, found = _typed(value)
    if operator == "begins_with":
        return found_kind == "S" and bool(found.startswith(wanted))
    if operator == "contains":
        return _contains(found_kind, found, kind, wanted)
    return found_kind == kind and _ORDER[operator](_order(kind, found, wanted))


def _contains(found_kind: str, found: Any, kind: str, wanted: Any) -> bool:
    if found_kind == "S":
        return kind == "S" and wanted in found
    if found_kind == "L":
        return any(_compared(each, "=", {kind: wanted}) for each in found)
    return found_kind == kind + "S" and any(_order(kind, each, wanted) == 0 for each in found)


def _order(kind: str, one: Any, other: Any) -> int:
    """Returns less than, equal to or greater than 0, as `one` is before, equal to or after `other`."""
    if kind == "N":
        try:
            return numbers.compare(one, other)
        except ValueError as error:
            raise Damaged(f"not a DynamoDB number: {one!r:.100}") from error
    if kind == "S":
        first, second = one.encode(), other.encode()
        return int(first > second) - int(first < second)
    return 0 if one == other else 1


# --- how it is read ---------------------------------------------------------------------------------------------------------------


class _ConditionToken(msgspec.Struct, frozen=True):
    """`kind`: text, number, sign, word, or end."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """A word or a sign in small letters; empty for any other token."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


class _Parser:
    def __init__(self, text: str, *, path: bool = False) -> None:
        self._text = text
        self._what = _PATH if path else _CONDITION
        self._depth = 0
        self.paths: list[tuple[str, ...]] = []
        self._next = self._token(0)

    def whole(self) -> Test:
        test = self._any()
        if self._next.kind != "end":
            raise self._error("`and`, `or` or the end")
        return test

    def whole_path(self) -> tuple[str, ...]:
        path = self._path()
        if self._next.kind != "end":
            raise self._error("`.` or the end")
        return path

    # --- the grammar ---

    def _any(self) -> Test:
        tests = [self._all()]
        while self._took("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._took("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise self._error(f"no more than {MOST_NESTED} levels")
        try:
            if self._took("not"):
                test = self._one()
                return lambda item: not test(item)
            if self._took("("):
                test = self._any()
                if not self._took(")"):
                    raise self._error("`and`, `or` or `)`")
                return test
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Test:
        path = self._path()
        operator = self._next.word
        if operator not in _OPERATORS:
            raise self._error(f"one of {' '.join(_OPERATORS)}")
        self._take()
        if operator == "exists":
            return lambda item: _at(item, path) is not None
        if operator == "missing":
            return lambda item: _at(item, path) is None
        literal = self._literal(operator)
        return lambda item: (value := _at(item, path)) is not None and _compared(value, operator, literal)

    def _path(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._took("."):
            names.append(self._name())
        self.paths.append(tuple(names))
        return tuple(names)

    def _name(self) -> str:
        token = self._next
        if token.kind == "text":
            return self._string(self._take())
        if token.kind != "word" or token.word in (*_WORDS, *_OPERATORS):
            raise self._error('an attribute\'s name (a JSON string where it is an odd one: "and")')
        return self._take().text

    def _literal(self, operator: str) -> dict[str, Any]:
        token = self._next
        if token.kind == "text":
            return {"S": self._string(self._take())}
        if operator == "begins_with":
            raise self._error("a JSON string")
        if token.kind == "number":
            return {"N": self._number(self._take())}
        if token.text in _CONSTANTS and (operator in _EQUALITY or operator == "contains"):
            return _CONSTANTS[self._take().text]
        only = "a JSON string, a number, true, false or null"
        raise self._error(only if operator in (*_EQUALITY, "contains") else "a JSON string or a number")

    # --- literals ---

    def _string(self, token: _ConditionToken) -> str:
        try:
            text = json.loads(token.text)
            text.encode()
        except ValueError as error:  # not JSON, or half of a surrogate pair
            raise self._error("a JSON string", token) from error
        return str(text)

    def _number(self, token: _ConditionToken) -> str:
        try:
            return numbers.in_range(token.text)
        except ValueError as error:
            raise self._error("a number as DynamoDB has them (38 digits, up to 9.9E+125)", token) from error

    # --- tokens ---

    def _took(self, word: str) -> bool:
        if self._next.word != word:
            return False
        self._take()
        return True

    def _take(self) -> _ConditionToken:
        token = self._next
        self._next = self._token(token.at + len(token.text))
        return token

    def _token(self, at: int) -> _ConditionToken:
        space = _SPACE.match(self._text, at)
        at = at if space is None else space.end()
        found = _TOKEN.match(self._text, at)
        if found is None:
            return _ConditionToken("end" if at == len(self._text) else "other", self._text[at : at + 12], at)
        return _ConditionToken(found.lastgroup or "", found[0], at)

    def _error(self, expected: str, token: _ConditionToken | None = None) -> UsageError:
        token = token or self._next
        found = f"`{token.text}`" if token.text else "the end"
        what, hint = self._what
        return UsageError(f"{what}: {expected} expected at character {token.at + 1}, found {found}: {self._text}", hint=hint)
