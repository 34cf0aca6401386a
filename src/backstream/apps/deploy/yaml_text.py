"""YAML for people: only the parts that a CloudFormation template needs, with its short forms (`!Ref`) and comments.

It does not use PyYAML: a plain installation lacks it, and it writes no comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

# Text without quotes begins with a letter, and has nothing that YAML (or YAML 1.1) reads as more than text.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./()=+*-]*( [A-Za-z0-9_./()=+*-]+)*")
_WORDS = {"yes", "no", "on", "off", "y", "n", "true", "false", "null"}
_STEP = "  "
_LINE = 100  # characters
_INNER = 4  # of indent: within a resource's properties
_FEW = 3
FUNCTIONS = {"Ref": "!Ref", "Fn::GetAtt": "!GetAtt", "Fn::Sub": "!Sub", "Fn::If": "!If", "Fn::Not": "!Not", "Fn::Equals": "!Equals"}


def lines(value: object, indent: str = "") -> Iterator[str]:
    """The lines of a mapping or list, each without its end."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", each, indent)
    elif isinstance(value, list):
        for each in value:
            yield from _item(each, indent)


def comment(text: str, indent: str, width: int = 110) -> Iterator[str]:
    """A comment, broken into lines."""
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield f"{indent}# {line}"
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield f"{indent}# {line}"


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if _is_short(value) or (len(indent) >= _INNER and _fits(value)):
        yield f"{head} {_flow(value, indent)}"
    else:
        yield head
        yield from lines(value, indent + _STEP)


def _item(value: object, indent: str) -> Iterator[str]:
    if _is_short(value) or (len(indent) >= _INNER and _fits(value)):
        yield f"{indent}- {_flow(value, indent)}"
        return
    first, *rest = lines(value, indent + _STEP)
    yield f"{indent}- {first.removeprefix(indent + _STEP)}"
    yield from rest


def _fits(value: object) -> bool:
    """True if a small list or mapping goes on one line: CloudFormation accepts 51,200 bytes in a call."""
    if not isinstance(value, Mapping | list) or len(value) > _FEW:
        return False
    flow = _flow(value)
    return len(flow) <= _LINE and "\n" not in flow


def _is_short(value: object) -> bool:
    """True if it goes on its key's line."""
    return _function(value) is not None or not isinstance(value, Mapping | list) or not value


def _function(value: object) -> tuple[str, object] | None:
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, argument),) = value.items()
        if name in FUNCTIONS:
            return FUNCTIONS[name], argument
    return None


def _flow(value: object, indent: str = "") -> str:
    """Returns a value on one line; only a long text has more."""
    if called := _function(value):
        name, argument = called
        if name == "!GetAtt" and isinstance(argument, Sequence):
            argument = ".".join(argument)
        return f"{name} {_flow(argument, indent)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_within(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_within, value)) + "]"
    if isinstance(value, str) and "\n" in value:
        return "|-\n" + "\n".join(f"{indent}{_STEP}{line}" for line in value.split("\n"))
    return _scalar(value)


def _within(value: object) -> str:
    """Returns a value within brackets, where a colon in a plain word may be misread."""
    return re.sub(r"(?<!\S)(AWS::\w+)", r'"\1"', _flow(value))


def _scalar(value: object) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    text = str(value)
    if text.startswith("AWS::") or (_PLAIN.fullmatch(text) and text.lower() not in _WORDS):
        return text
    # JSON's strings are YAML's, except for their escapes beyond ASCII: in JSON, that may be two halves.
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", json.dumps(text, ensure_ascii=False))
