"""The checker of plain English finds what it is for, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.plain_english import LONG, broken, main, sentences

LONG_SENTENCE = "It " + "goes and " * 15 + "stops."


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("What a moment builds on is the last start.", "What, Whether, Of ... as subject"),
        ("**What is written once counts.**", "What, Whether, Of ... as subject"),
        ("Of a set the first version counts.", "What, Whether, Of ... as subject"),
        ("The end is that of the window.", "that of"),
        ("An interrupted one is gone on with.", "gone on with"),
        ("It names the rows of which nothing is known.", "of which"),
        ("A drill ran for so long.", "so much"),
        (LONG_SENTENCE, LONG),
    ],
)
def test_a_habit_is_found_wherever_it_stands(tmp_path: Path, text: str, rule: str) -> None:
    page, code = tmp_path / "page.md", tmp_path / "code.py"
    page.write_text(f"# Title\n\nA first one. {text} A last one.\n")
    code.write_text(f'"""The first sentence.\n\n{text}\n"""\n')
    for file in (page, code):
        assert [found for each in sentences(file) for found in broken(each)] == [rule]
        assert (main([str(file)]), main(["--most=1", str(file)])) == (1, 0)


@pytest.mark.parametrize("cell", ["Whether it works", "`a \\| b`. " + LONG_SENTENCE])
def test_a_habit_in_a_table_is_found(tmp_path: Path, cell: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"| question | answer |\n|---|---|\n| {cell} | yes |\n")
    assert [len(broken(each)) for each in sentences(page) if each.text in cell] == [0] * ("." in cell) + [1]
    assert main([str(page)]) == 1


def test_plain_sentences_code_and_the_names_of_rules_break_no_rule(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    prose = "What does a drill show? That is what `--at` is for. *One reason.* " + "It is short. " * 20
    apart = f"| of which | It is short. It has a \\| bar. |\n|---|---:|\n\n```\n| What of which {LONG_SENTENCE} |\n```"
    page.write_text(f"# What now\n\n{prose}\n\n{apart}\n\n- A list has items.\n- Each item is a sentence\n")
    assert [found for each in sentences(page) for found in broken(each)] == []
    assert main([str(page)]) == 0
