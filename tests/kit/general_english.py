"""Runs proselint on Markdown pages: general English, beside the habits that `kit.plain_english` looks for.

Code, headings and the targets of links are taken out first, with every line in its place: a command is no prose. `OFF` and `RIGHT`
are the configuration, with a reason for each exception. Whoever adds one says why.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from proselint.checks import __register__
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

# Checks that are off, and why. All others of proselint's own choice are on.
OFF = {
    "typography.symbols.curly_quotes": "pages are read in terminals and editors, and copied from: quotes are as on a keyboard",
    "typography.symbols.ellipsis": "three dots, for the same reason",
    "typography.diacritical_marks": "`resume` is a verb here, and an option",
    "typography.symbols.trademark": "a processor's name is printed as the machine tells it",
}
# Words that are right as they stand, and why.
RIGHT = {
    "point in time": "AWS's own word: point-in-time recovery",
}
CHECKS = Config(max_errors=1000, checks={**dict.fromkeys(OFF, False), **DEFAULT["checks"]})
_FENCE = re.compile(r"^( *)```.*?^\1```\s*?$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
_NO_PROSE = re.compile(r"(`+)(?!`).+?\1(?!`)|(?<=\])\([^)]*\)|<[^>\n]+>", re.DOTALL)


CheckRegistry().register_many(__register__)


class Finding(NamedTuple):
    """One finding of proselint, and the line on which it begins."""

    line: int
    check: str
    message: str


def findings(text: str) -> Iterator[Finding]:
    """Yields what proselint finds in a page's prose, without the exceptions."""
    page = LintFile("page", _prose(text))
    for result, (line, _) in page.lint(CHECKS):
        begin, end = result.span
        if not any(each in page.content[begin - 1 : end + 1].lower() for each in RIGHT):
            yield Finding(line, result.check_path, result.message)


def _prose(text: str) -> str:
    """Returns a page without what is no prose. Each line stays where it is, and code becomes one word that is none."""
    lines = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    return _NO_PROSE.sub(_masked, _HEADING.sub("", lines))


def _masked(code: re.Match[str]) -> str:
    """Returns letters for code, as many as it has. They go on from its place, so that two neighbors are not one word twice."""
    return "".join(each if each == "\n" else chr(ord("a") + (code.start() + at) % 26) for at, each in enumerate(code[0]))


def main(arguments: list[str]) -> int:
    """Prints the findings in pages. Returns 1 if there are more than `--most=N` of them (0)."""
    most = next((int(each.partition("=")[2]) for each in arguments if each.startswith("--most=")), 0)
    pages = [Path(each) for each in arguments if not each.startswith("--")]
    found = [(page, each) for page in pages for each in findings(page.read_text())]
    for page, each in found:
        print(f"{page}:{each.line}: {each.check}: {each.message}")  # noqa: T201
    print(f"proselint: {len(found)} findings in {len(pages)} pages")  # noqa: T201
    return 1 if len(found) > most else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
