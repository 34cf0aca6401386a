"""What is shown of text that is not ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.model.values.visible import visible, visible_json, visible_line

NASTY = "\x1b[2K\r\x9b31m\u202eevil\u2066\u200b\x7f\ufeff\u2028"


def test_what_moves_or_hides_is_spelled() -> None:
    shown = visible(f"a{NASTY}\nb")
    assert shown == r"a\u001B[2K\u000D\u009B31m\u202Eevil\u2066\u200B\u007F\uFEFF\u2028" + "\nb"
    assert visible_line("a\nb\t") == r"a\u000Ab\u0009"
    assert visible("plain, naïve 東京 😀") == "plain, naïve 東京 😀"
    assert visible("\ud800") == r"\uD800"
    assert visible("\U000e0041") == r"\uDB40\uDC41"


@given(st.text())
def test_json_means_the_same(text: str) -> None:
    body = json.dumps({text: [text]}, ensure_ascii=False).encode("utf-8", "replace")
    shown = visible_json(body)
    assert json.loads(shown) == json.loads(body)
    assert visible(shown.decode()) == shown.decode()


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_nothing_passes(text: str) -> None:
    shown = visible_line(text)
    assert all(each.isprintable() or each == " " or ord(each) >= 0xA0 for each in shown)
    assert visible_line(shown) == shown
    assert not set(shown) & set("\x1b\x9b\r\n\u202e\u2066\u200b\u200d\u061c")


@pytest.mark.parametrize("body", [b'{"a":1}\n', b"[\r\n\t1 ]"])
def test_space_between_tokens_stays_space(body: bytes) -> None:
    assert json.loads(visible_json(body)) == json.loads(body)
    assert b"\r" not in visible_json(body)
