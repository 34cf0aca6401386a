"""A command as one types it: a shell takes it apart into the same words, and all of its characters are seen."""

from __future__ import annotations

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.model.values.shell_words import shell_line

WORDS = st.lists(
    st.text(st.one_of(st.characters(codec="utf-8", exclude_characters="\0"), st.sampled_from("\n\t\\'\"$`!\u202e\u200b7"))),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_a_shell_takes_a_line_apart_into_its_words(words: list[str]) -> None:
    line = shell_line(words)
    assert "\n" not in line
    found = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert found.stdout.decode().split("\0")[:-1] == words


def test_what_is_not_seen_is_spelled_and_all_else_is_quoted_as_ever() -> None:
    assert shell_line(["a", "b c", "turned\u202eround", "it's\n"]) == r"a 'b c' $'turned\342\200\256round' $'it\'s\n'"
