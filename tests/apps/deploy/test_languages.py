"""What is written in YAML and HCL is read as what it was, whatever is in it."""

from __future__ import annotations

import re
from typing import Any

import hcl2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backstream.apps.deploy import yaml_text
from backstream.apps.deploy.terraform.hcl import Block, lines, quoted
from kit import templates

TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20) | st.sampled_from(
    [
        "yes",
        "No",
        "on",
        "null",
        "~",
        "",
        "2012-10-17",
        "1e3",
        "0x1f",
        "1:30",
        "a: b",
        "a #b",
        "- a",
        "*",
        "!Ref x",
        "{a}",
        "'",
        '"',
        "a,b",
        "=",
        "<<",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.booleans() | st.integers(-(10**6), 10**6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda key: key not in yaml_text.FUNCTIONS), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS.filter(bool), VALUES, min_size=1, max_size=4))
def test_yaml_is_read_as_what_was_written(document: dict[str, Any]) -> None:
    written = "\n".join(yaml_text.lines(document))
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "AWS::NoValue"},
        {"Fn::GetAtt": ["Vault", "Arn"]},
        {"Fn::Sub": 'say "${Vault.Arn}/*": {a}'},
        {"Fn::Sub": '{\n "a": "${Vault}",\n  "b": []\n}'},
        {"Fn::If": ["Has", [{"Ref": "Topic"}], {"Ref": "AWS::NoValue"}]},
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "Topic"}, ""]}]},
        "two\nlines",
    ],
    ids=str,
)
def test_short_forms_are_read_as_long_ones(value: Any) -> None:
    for document in ({"a": value}, {"a": [value, {"b": value, "c": 1}]}):
        assert templates.parse("\n".join(yaml_text.lines(document))) == document


@pytest.mark.parametrize("text", ["plain", 'with "quotes"', "a\\b", "costs $5", "100%", "ü ñ 😀", "^arn:aws[a-z-]*:x$"])
def test_hcl_is_read_as_what_was_written(text: str) -> None:
    block = "\n".join(lines(Block(("output", "x"), {"value": text}))) + "\n"
    (output,) = hcl2.loads(block)["output"]
    read = next(iter(output.values()))["value"][1:-1]
    assert read.replace('\\"', '"').replace("\\\\", "\\") == text


def test_nothing_is_replaced_in_an_hcl_text() -> None:
    """https://developer.hashicorp.com/terraform/language/expressions/strings#escape-sequences"""
    assert quoted("${a} and %{b}") == '"$${a} and %%{b}"'


def test_a_comment_is_broken_into_lines() -> None:
    broken = list(yaml_text.comment("word " * 60, "  ", width=40))
    assert all(re.fullmatch(r"  # (word ?)+", line) and len(line) <= 44 for line in broken)
    assert sum(line.count("word") for line in broken) == 60
