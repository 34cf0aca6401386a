"""HCL, Terraform's language: blocks, arguments and expressions as text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_STEP = "  "


@dataclass(frozen=True)
class Raw:
    """An expression as it stands."""

    text: str


@dataclass(frozen=True)
class Block:
    """A block: its type and labels, its arguments and then its blocks."""

    head: tuple[str, ...]
    arguments: Mapping[str, object] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    comment: str = ""


def quoted(text: str) -> str:
    """A text in quotes, in which nothing is replaced."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def lines(block: Block, indent: str = "") -> Iterator[str]:
    """The lines of a block, each without its end."""
    inner = indent + _STEP
    kind, *labels = block.head
    yield " ".join([indent + kind, *map(quoted, labels), "{"])
    yield from _assignments(block.arguments, inner)
    for each in block.blocks:
        if block.arguments or each is not block.blocks[0]:
            yield ""
        yield from lines(each, inner)
    yield f"{indent}}}"


def expression(value: object, indent: str = "") -> str:
    """A value as an expression."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        inner = indent + _STEP
        return "\n".join(["{", *_assignments(value, inner), f"{indent}}}"])
    if isinstance(value, list | tuple):
        return _list([expression(each, indent + _STEP) for each in value], indent)
    raise TypeError(f"no expression: {value!r}")


def _assignments(values: Mapping[str, object], indent: str) -> Iterator[str]:
    """Yields `name = value` for each, with `=` where `terraform fmt` puts it: below each other as long as values take one line."""
    texts = [(name, expression(value, indent)) for name, value in values.items()]
    for several_lines, found in itertools.groupby(texts, key=lambda each: "\n" in each[1]):
        group = list(found)
        width = 0 if several_lines else max(len(name) for name, _ in group)
        yield from (f"{indent}{name.ljust(width)} = {text}" for name, text in group)


def _list(entries: Sequence[str], indent: str) -> str:
    if len(entries) <= 1:
        return f"[{''.join(entries)}]"
    return "\n".join(["[", *(f"{indent}{_STEP}{each}," for each in entries), f"{indent}]"])
