"""Loads users' scripts into this process: `migrate(item)`, `filter(item)` and `finish(counts)`; their errors become one line.

A script's output goes to stderr, because stdout is the report's. Its numbers have 38 digits, like DynamoDB's.
"""

from __future__ import annotations

import contextlib
import decimal
import hashlib
import inspect
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backstream.errors import Refused, ScriptFailed, UsageError
from backstream.model.migration import DynamoDBJson
from backstream.model.values import python_items

NATIVE = "dynamodb_json"
_HOW = "Write `def migrate(item): ... return item`; docs/migrate.md has examples."


class LoadedScript:
    """Implements `operations.migrate.filtering.FilterScript` for a file; made by `load`."""

    def __init__(self, path: Path, text: bytes, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.path = str(path)
        self.digest = hashlib.sha256(text).hexdigest()
        self._functions = functions
        self.filters = "filter" in functions
        first, *others = _parameters(functions["filter" if self.filters else "migrate"])
        self.native = _is_native(first)
        self.takes_live = bool(others) and not self.filters

    def migrate(self, *items: Any) -> Any:
        """Calls its function."""
        return self._call("migrate", *items)

    def keep(self, item: Any) -> Any:
        """Calls its function `filter`."""
        return self._call("filter", item)

    def finish(self, counts: Mapping[str, Any]) -> None:
        """Calls its hook, if there is one."""
        hook = self._functions.get("finish")
        if hook is not None:
            self._call("finish", *([dict(counts)] if _parameters(hook) else []))

    def _call(self, name: str, *words: Any) -> Any:
        with _explained(self.path), _surroundings():
            return self._functions[name](*words)


def load(path: str | Path, *, for_filter: bool = False, digest: str | None = None) -> LoadedScript:
    """Loads the script at a path. `for_filter`: use its function `filter` if it has one, else `migrate`.

    `digest`: its SHA-256, if it must be a script that ran before: raises Refused, before any of it runs, if it is another one.
    Raises UsageError if there is none, if it is not Python, or if it has no such function; ScriptFailed if it raises an error while
    it is loaded.
    """
    path = Path(path)
    text = _text(path)
    if digest is not None and hashlib.sha256(text).hexdigest() != digest:
        raise Refused(
            f"{path} has changed since the migration began: nothing of it was run",
            hint="Give the script as it was then, or name the script to continue with: `migrate TABLE SCRIPT --resume ID`.",
        )
    namespace = _run(path, text)
    wanted = ["filter", "migrate"] if for_filter else ["migrate"]
    name = next((each for each in wanted if each in namespace), None)
    if name is None:
        raise UsageError(f"{path} has no function {' or '.join(wanted)}", hint=_HOW)
    functions = {each: namespace[each] for each in (name, "finish") if each in namespace}
    for each, function in functions.items():
        _check(path, each, function, range(1, 2 if each == "filter" else 3) if each == name else range(2))
    return LoadedScript(path, text, functions)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"no script {path}: {error.strerror}", hint="Give the path of a Python file.") from error


def _run(path: Path, text: bytes) -> dict[str, Any]:
    """Returns the script's definitions. It does not import the script: that would leave compiled files beside it."""
    try:
        code = compile(text, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        why = error.msg if isinstance(error, SyntaxError) else error
        raise UsageError(f"{path} is no Python: {why}{where}") from error
    module = types.ModuleType(f"backstream_script_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # so that it can import what lies beside it: last, for nothing there takes a known module's place
    linecache.checkcache(str(path))
    with _explained(str(path)), _surroundings():
        exec(code, module.__dict__)  # noqa: S102 - to run the user's own script is what was asked for
    return module.__dict__


def _check(path: Path, name: str, function: Any, allowed: range) -> None:
    """Raises UsageError if it is not a function with an allowed number of parameters."""
    if not callable(function):
        raise UsageError(f"{path}: {name} is no function", hint=_HOW)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(f"{path}: {name} is asynchronous or a generator: it must be a plain function", hint=_HOW)
    count = len(_parameters(function))
    if count not in allowed:
        words = " or ".join(map(str, allowed))
        raise UsageError(f"{path}: {name} takes {count} parameters: it must take {words}", hint=_HOW)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Returns the parameters that a caller must give by position."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each for each in every if each.kind in places and each.default is inspect.Parameter.empty]


def _is_native(parameter: inspect.Parameter) -> bool:
    """True if it asks for DynamoDB JSON, by its name or its annotation."""
    annotation = parameter.annotation
    written = annotation.strip("'\" ").rpartition(".")[2] if isinstance(annotation, str) else ""
    return parameter.name == NATIVE or annotation is DynamoDBJson or written == DynamoDBJson.__name__


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    with decimal.localcontext(python_items.CONTEXT), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Context that turns the script's errors into ScriptFailed, with the line. Ctrl-C stays unchanged."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may also call sys.exit
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == path]
        where = f", line {lines[-1]}" if lines else ""
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise ScriptFailed(f"{' '.join(what.split())} ({path}{where})", hint="--debug shows the traceback.") from error
