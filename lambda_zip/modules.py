"""Which of our own modules the function needs: the handlers and the library, and all that those import, and no more.

Read from the source's import statements, so that a new module is in the zip as soon as a handler uses it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = "backstream"
HANDLERS = "apps/aws_*.py"
# What is loaded by name, as the library is by `backstream.open` and the engine by its first use, and what a handler of one's own
# builds on.
ALSO = ("apps/library.py", "apps/monitoring/metrics.py", "engine/local/engine.py")
# These need packages of an extra (`sql`, `parquet`, `iceberg`), which the zip lacks. They are loaded by name, and say which extra.
EXTRAS = ("operations/export", "operations/sql", "operations/tabular")


def our_files(source: Path = SOURCE) -> list[Path]:
    """Their paths below `source`, sorted."""
    package = source / PACKAGE
    waiting = [*package.glob(HANDLERS), *(package / each for each in ALSO)]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found and not _of_an_extra(path.relative_to(package)):
            found.add(path)
            waiting.extend(_imported(path, source))
    return sorted(path.relative_to(source) for path in found)


def _of_an_extra(path: Path) -> bool:
    return any(path.is_relative_to(each) for each in EXTRAS)


def _imported(path: Path, source: Path) -> Iterator[Path]:
    """The files of ours that importing `path` imports, those of the packages that it is in among them."""
    yield from _files_of(path.relative_to(source).parent.parts, source)
    for node in ast.walk(ast.parse(path.read_text())):
        for name in _names(node):
            yield from _files_of(name.split("."), source)


def _names(node: ast.AST) -> Iterable[str]:
    """The modules that a statement may import; `from a import b` may be of a module a.b, or of a name in a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _files_of(parts: Iterable[str], source: Path) -> Iterator[Path]:
    """The module's file, and that of every package on the way to it, as far as they are ours."""
    place = source
    for part in parts:
        place /= part
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file
