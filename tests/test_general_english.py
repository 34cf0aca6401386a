"""proselint sees a page's prose, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.general_english import OFF, RIGHT, findings, main


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("It is kept for ever.", "archaism"),
        ("Nobody can can see it.", "lexical_illusions"),
        ("This is very fast.", "weasel_words.very"),
    ],
)
def test_a_finding_is_told_with_its_line(tmp_path: Path, text: str, check: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n```\ncode\n```\n\nA first line.\n{text}\n")
    assert [(each.line, each.check) for each in findings(page.read_text())] == [(8, check)]
    assert (main([str(page)]), main(["--most=1", str(page)])) == (1, 0)


def test_code_and_exceptions_are_not_findings() -> None:
    apart = "```sh\nbackstream very very\n```\n\n`it is very very` [a page](very/very.md), `very` `very`."
    excepted = 'Point in time recovery resumes, "as AWS has it"...'
    assert list(findings(f"# Very very\n\n{apart}\n\n{excepted}\n")) == []
    assert all({**OFF, **RIGHT}.values()), "each exception has its reason"
