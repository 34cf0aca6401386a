"""The newcomer's page: its commands work as they stand there, in that order, from an empty account, and print what it says."""

from __future__ import annotations

from pathlib import Path

from kit.first_steps import PAGE, parts, reader, rewritten, settled


def test_the_page_is_what_its_commands_print(lambda_zip: Path) -> None:
    page = PAGE.read_text()
    assert sum(kind == "command" for kind, _ in parts(page)) > 20
    with reader(lambda_zip) as who:
        assert settled(rewritten(page, who)) == settled(page)
