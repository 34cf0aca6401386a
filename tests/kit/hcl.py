"""Terraform modules read back: blocks by type and name, and values in the words of neither language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import hcl2

# What the provider's attributes are in CloudFormation: those that a Ref gives, and the ARN.
ATTRIBUTES = {"bucket": "", "id": "", "function_name": "", "uuid": "", "name": "", "alarm_name": "", "arn": ".arn"}
PLACES = {
    "var.name": "stack",
    "data.aws_region.current.region": "region",
    "data.aws_caller_identity.current.account_id": "account",
    "data.aws_partition.current.partition": "partition",
    "data.aws_partition.current.dns_suffix": "domain",
}


def parse(text: str) -> dict[str, Any]:
    """A module as a parser sees it, without the parser's own marks."""
    loaded: dict[str, Any] = _clean(hcl2.loads(text))
    return loaded


def named(module: Mapping[str, Any], kind: str) -> dict[tuple[str, ...], Any]:
    """Its blocks of one kind, by their labels."""
    depth = 2 if kind in ("resource", "data") else 1
    found: dict[tuple[str, ...], Any] = {}
    for block in module[kind]:
        labels, body = [], block
        for _ in range(depth):
            ((label, body),) = body.items()
            labels.append(label)
        assert tuple(labels) not in found, labels
        found[tuple(labels)] = body
    return found


def for_table(value: Any, table: str, label: str) -> Any:
    """A value of a block for every table, as it is for one. `label`: the table's part of resources' names."""
    if isinstance(value, Mapping):
        return {name: for_table(each, table, label) for name, each in value.items() if name != "for_each"}
    if isinstance(value, list):
        return [for_table(each, table, label) for each in value]
    if not isinstance(value, str):
        return value
    for word in ("each.key", "table"):
        value = value.replace(f"${{{word}}}", table).replace(f"[{word}]", f'["{table}"]')
    return value.replace("${each.value}", label)


def by_name(value: Any, names: Mapping[str, str]) -> Any:
    """A value in which what belongs to a table is named as in CloudFormation. `names`: by the table's own."""
    if isinstance(value, Mapping):
        return {name: by_name(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [by_name(each, names) for each in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r'\$\{var\.streams\["([^"]+)"\]\}', lambda found: f"<stream of {names[found[1]]}>", value)
    mapping = r'\$\{aws_lambda_event_source_mapping\.mapping\["([^"]+)"\]\.uuid\}'
    return re.sub(mapping, lambda found: f"<{names[found[1]]}_mapping>", value)


def plain(value: Any) -> Any:
    """A value with references as `<name>`: what `${aws_s3_bucket.vault.arn}` is, `<vault.arn>` says."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        if given := re.fullmatch(r'\$\{var\.(\w+) == "" \? \[\] : \[var\.\1\]\}', value):
            return f"<only {given[1]}>"
        return re.sub(r"\$\{([^}]+)\}", lambda found: f"<{_reference(found[1])}>", value)
    return value


def _reference(expression: str) -> str:
    if expression in PLACES:
        return PLACES[expression]
    kind, name, *attribute = expression.split(".")
    if kind == "var":
        return name
    if kind == "data":  # a policy's document
        return ".".join(attribute)
    return name + ATTRIBUTES[attribute[0]]


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_unquoted(name): _clean(each) for name, each in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return _unquoted(value) if isinstance(value, str) else value


def _unquoted(text: str) -> str:
    """A text as it is between its quotes, or in its heredoc."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if found := re.fullmatch(r"<<(\w+)\n(.*)\n\1", inner, re.DOTALL):
        return found[2]
    return inner.replace('\\"', '"').replace("\\\\", "\\")
