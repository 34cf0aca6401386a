"""The how-to pages: their commands work as they stand there, against the embedded servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.howto import NOT_RUN, Reader, commands, forgotten, night, not_run, scripts


@pytest.mark.parametrize("page", NOT_RUN)
def test_a_block_of_commands_is_run_or_has_a_reason(page: str) -> None:
    found = not_run(page)
    assert NOT_RUN[page] or not found, f"begin a block with ```sh, so that it is run, or say in kit.howto why it is not:\n{found}"


def test_no_page_with_commands_is_forgotten() -> None:
    assert not forgotten(), "name it in kit.howto.NOT_RUN"


@pytest.mark.timeout(1200)  # some sixty commands, one after the other
def test_the_commands_of_each_page_work(tmp_path: Path) -> None:
    with night() as made:
        failed = [each for page in NOT_RUN for each in _failures(page, Reader(made, tmp_path / page))]
    assert not failed, "\n\n".join(failed)


def _failures(page: str, reader: Reader) -> Iterator[str]:
    """Yields what goes wrong with a page's commands; a page ends with its first failure."""
    for name, text in scripts(page):
        (reader.folder / name).write_text(text)
    try:
        for block in commands(page):
            reader.run(block)
    except AssertionError as error:
        yield f"{page}: {error}"
