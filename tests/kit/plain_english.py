"""Finds sentences that break the rules of plain English. `--count` prints how many each package has of each kind.

It reads docstrings, comments, and texts of several words (messages, help) in Python, and prose and tables in Markdown. It works by
pattern, so it finds habits, not bad style. Whoever adds a pattern here should be able to say in one line what to write instead.
"""

from __future__ import annotations

import ast
import collections
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MOST_WORDS = 30
_DEMONSTRATIVE = (
    r"(?:is|was|are|were|makes?|means?|takes?|keeps?|does|can|will|would|has|happens|way|order|costs?|also|one|leaves?)\b"
)
PATTERNS = {
    # As a subject. A question may begin so, and so may "That is why ...".
    "What, Whether, Of ... as subject": re.compile(
        rf"^(?:What|Whether|Of|Who(?:|se|ever)\b|How (?!to\b)|That (?!{_DEMONSTRATIVE}))(?!.*\?$)", re.DOTALL
    ),
    "that of": re.compile(r"\b(?:that|those) of\b"),
    "gone on with": re.compile(r"\b(?:is|are|be) gone (?:on )?with\b|\bgo(?:es)? on with\b|\bgone on with\b"),
    "the call's words": re.compile(r"call's words"),
    "of which": re.compile(r"\bof (?:which|whom)\b"),
    "so much": re.compile(r"\bat most so (?:much|many|long)\b|\bfor so long\b|\bno more than so\b"),
}
# These hold in docstrings only: there such a sentence has no verb.
DOCSTRING = {
    "docstring without a verb": re.compile(r"^(?:Where|As|When|Which|Whose|Why|If|None|Because|How)\b(?!.*[,:] )", re.DOTALL),
}
LONG = f"over {MOST_WORDS} words"
# A sentence that is right as it stands: the beginning of it, and why.
EXCEPTIONS: dict[str, str] = {}
_BAR = re.compile(r"(?<!\\)\|")  # between two cells


class Sentence(NamedTuple):
    """One sentence, where it begins, and the kind of text that it is from."""

    place: str
    line: int
    kind: str
    text: str


def sentences(path: Path) -> Iterator[Sentence]:
    """Yields every sentence of a Python file's docstrings, comments and texts, or of a Markdown page."""
    text = path.read_text()
    blocks = _of_python(text) if path.suffix == ".py" else _of_markdown(text)
    for line, kind, block in blocks:
        for each in _split(block):
            yield Sentence(str(path), line, kind, each)


def broken(sentence: Sentence) -> list[str]:
    """Returns the rules that a sentence breaks."""
    if sentence.text in PATTERNS or any(sentence.text.startswith(each) for each in EXCEPTIONS):
        return []  # a rule's own name, as in a table of counts
    patterns = PATTERNS | (DOCSTRING if sentence.kind == "docstring" else {})
    found = [name for name, pattern in patterns.items() if pattern.search(sentence.text.lstrip("*"))]
    return [*found, LONG] if len(sentence.text.split()) > MOST_WORDS else found


def _of_python(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields (line, kind, text) of docstrings, comments and texts. Constants of one word are names, not sentences."""
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            found := ast.get_docstring(node)
        ):
            documented.add(id(node.body[0].value))  # type: ignore[attr-defined]
            yield from ((node.body[0].lineno, "docstring", each) for each in _paragraphs(found))
        elif isinstance(node, ast.JoinedStr):
            documented.update(id(each) for each in node.values)
            yield node.lineno, "text", "".join(str(each.value) if isinstance(each, ast.Constant) else "X" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented and " " in node.value:
            yield node.lineno, "text", node.value
    yield from _comments(text)


def _comments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields comments; those on lines that follow each other at one indentation are one text."""
    first, column, words = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, start = token.start
        if start != column or line != first + len(words):
            yield first, "comment", " ".join(words)
            first, column, words = line, start, []
        words.append(token.string.lstrip("#: ").removeprefix("noqa").removeprefix("type: ignore"))
    yield first, "comment", " ".join(words)


def _of_markdown(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields the paragraphs, list items and cells of tables outside of code blocks. Pictures and HTML are left out."""
    code, first, lines = False, 1, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            code = not code
        if not code and line.lstrip().startswith("|"):
            yield from ((number, "cell", each.strip()) for each in _BAR.split(line) if set(each) - set(" -:"))
        apart = code or not line.strip() or line.lstrip().startswith(("#", "|", "```", "<", "!["))
        if apart or re.match(r"\s*(?:[-*]|\d+\.) ", line):
            yield first, "page", " ".join(lines)
            first, lines = number, []
        if not apart:
            lines.append(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", line).strip())


def _paragraphs(text: str) -> Iterator[str]:
    """Yields a docstring's paragraphs, without those that are indented: they are tables and examples."""
    for each in re.split(r"\n\s*\n", text):
        if not all(line.startswith(" ") for line in each.splitlines()):
            yield each


def _split(block: str) -> Iterator[str]:
    """Yields the sentences of a text: each ends with a stop before a space and a capital letter, or at the text's end.

    The parts of a list of fields (`one`: ...; `other`: ...) count as sentences.
    """
    for each in re.split(r"(?<=[.?!])(?:[)`\"']|\*\*?)?\s+(?=[A-Z`(\"'[*])|;\s+(?=`)", " ".join(block.split())):
        if each:
            yield each


def _package(path: str) -> str:
    """Returns the package or the folder by which a file is counted."""
    parts = Path(path).parts
    return "/".join(parts[2:4] if parts[:2] == ("src", "backstream") and len(parts) > 4 else parts[:-1][-1:]) or "."


def main(arguments: list[str]) -> int:
    """Prints the sentences that break a rule, or with `--count` how many there are of each kind in each package.

    Returns 1 if there are more than `--most=N` of them (0).
    """
    count = "--count" in arguments
    most = next((int(each.partition("=")[2]) for each in arguments if each.startswith("--most=")), 0)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    paths = [Path(each) for each in arguments if not each.startswith("--")]
    files = [file for path in paths for file in ([path] if path.is_file() else sorted([*path.rglob("*.py"), *path.rglob("*.md")]))]
    for sentence in (each for file in files for each in sentences(file)):
        for rule in broken(sentence):
            counts[_package(sentence.place)][rule] += 1
            if not count:
                print(f"{sentence.place}:{sentence.line}: {sentence.kind}: {rule}: {sentence.text}")  # noqa: T201
    for package, found in sorted(counts.items()) if count else []:
        print(f"{package:24}" + ", ".join(f"{rule}: {number}" for rule, number in sorted(found.items())))  # noqa: T201
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    print("; ".join(f"{rule}: {number}" for rule, number in sorted(total.items())) or "plain")  # noqa: T201
    return 1 if total.total() > most else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["src"]))
