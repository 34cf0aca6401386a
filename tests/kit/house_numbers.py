"""The numbers of the house: `PYTHONPATH=tests .venv/bin/python -m kit.house_numbers`. Not a test.

Paths are followed with `sys.setprofile`. A path is the functions of this package in the order in which each was first called; a
stay is a run of them in one module. A return is a stay in a module that the path has been in before; a climb is a step to a higher
layer, by the order of the import contracts. Two figures are given: of all that runs, and of the code up to the store's port. In the
second the store is one stop, whatever lies behind its port (signatures, retries, a folder or S3): other code would be there.
"""

from __future__ import annotations

import ast
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import FrameType

from backstream.operations.restore import InPlace, RestoreContext, RestoreRequest, restore
from backstream.vault.catalog import Layout
from kit.invocations import LambdaStage
from kit.lived import lived

SOURCE = Path(__file__).parents[2] / "src" / "backstream"
LAYERS = ("model", "errors", "ports", "retries", "transport", "stores", "tables", "vault", "engine", "operations", "apps")
TARGETS = {"target", "Target", "TargetRequest", "NewTable", "InPlace", "ToFile", "Into", "Resumed"}


def files() -> list[Path]:
    """The package's modules."""
    return sorted(SOURCE.rglob("*.py"))


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Each module with its syntax tree."""
    return ((path, ast.parse(path.read_text())) for path in files())


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its signature is a command's, which is as long as it has options."""
    return any(
        "Annotated" in ast.unparse(each.annotation)
        for each in (*function.args.args, *function.args.kwonlyargs)
        if each.annotation is not None
    )


def longest() -> list[tuple[int, str]]:
    """The longest functions in lines, those of commands counted from their body on."""
    found = []
    for path, tree in trees():
        for each in ast.walk(tree):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                begin = each.body[0].lineno if is_command(each) else each.lineno
                found.append(((each.end_lineno or begin) - begin + 1, f"{path.relative_to(SOURCE)}:{each.name}"))
    return sorted(found, reverse=True)[:9]


def class_names() -> dict[str, list[str]]:
    """Public class names that are used in more than one module."""
    found: dict[str, list[str]] = {}
    for path, tree in trees():
        for each in ast.walk(tree):
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                found.setdefault(each.name, []).append(str(path.relative_to(SOURCE)))
    return {name: places for name, places in found.items() if len(places) > 1}


def kind_questions() -> list[str]:
    """Where the kind of a restore's target is asked for."""
    found = []
    for path, tree in trees():
        for each in ast.walk(tree):
            if isinstance(each, ast.Call) and ast.unparse(each.func) == "isinstance":
                names = {
                    node.attr if isinstance(node, ast.Attribute) else node.id
                    for node in ast.walk(each)
                    if isinstance(node, ast.Attribute | ast.Name)
                }
                if names & TARGETS and "operations" in path.parts:
                    found.append(f"{path.relative_to(SOURCE)}:{each.lineno}")
    return found


STORE = "stores"  # the stop that stands for all behind the store's port


class PathTaken:
    """The functions that are called while it is followed, in the order of their first calls, in every thread.

    `to_the_port`: a call of a store is one stop, and what it calls is not followed.
    """

    def __init__(self, *, to_the_port: bool = False) -> None:
        self.functions: dict[tuple[str, int, str], None] = {}
        self._to_the_port = to_the_port
        self._inside: dict[int, FrameType] = {}  # the call of a store that each thread is in

    def follow(self, work: Callable[[], object]) -> None:
        """Do it and take notes."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            work()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        del argument
        code, thread = frame.f_code, threading.get_ident()
        if thread in self._inside:
            if event == "return" and self._inside[thread] is frame:
                del self._inside[thread]
            return
        if self._to_the_port and event == "call" and code.co_filename.startswith(str(SOURCE / STORE)):
            self._inside[thread] = frame
            self.functions.setdefault((STORE, code.co_firstlineno, code.co_name))
            return
        if event == "call" and code.co_filename.startswith(str(SOURCE)) and not code.co_name.startswith("<"):
            self.functions.setdefault((code.co_filename[len(str(SOURCE)) + 1 :], code.co_firstlineno, code.co_name))

    @property
    def stays(self) -> list[str]:
        """The modules in turn."""
        stays: list[str] = []
        for module, _, _ in self.functions:
            if not stays or stays[-1] != module:
                stays.append(module)
        return stays

    def __str__(self) -> str:
        stays, modules = self.stays, {module for module, _, _ in self.functions}
        layers = [layer_of(each) for each in stays]
        climbs = sum(1 for one, other in pairwise(layers) if other > one)
        counts = f"{len(self.functions)} functions, {len(modules)} modules"
        return f"{counts}; {len(stays)} stays, {len(stays) - len(modules)} returns, {climbs} climbs"


def layer_of(module: str) -> int:
    """How high it lies."""
    top = module.partition("/")[0].removesuffix(".py")
    return LAYERS.index(top) if top in LAYERS else 0


def in_place() -> PathTaken:
    """The path of a restore in place."""
    stage, seconds = lived()
    path = PathTaken()
    with tempfile.TemporaryDirectory() as folder:
        around = RestoreContext(lambda _: stage.table, stage.clock, Path(folder))
        vault = stage.vault()
        path.follow(lambda: restore(vault, RestoreRequest(seconds[1], InPlace(), allow_gap=True), around))
    return path


def one_event(layout: Layout, *, to_the_port: bool) -> PathTaken:
    """The path of a second Lambda event: what the first one alone does, a process does once."""
    path = PathTaken(to_the_port=to_the_port)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        os.environ["BACKSTREAM_VAULT"] = Path(folder).as_uri()
        stage = LambdaStage(layout=layout)
        stage.put([1, 2])
        stage.deliver(stage.records())
        stage.put([3])
        records = stage.records()[-1:]
        path.follow(lambda: stage.deliver(records))
    return path


def main() -> None:
    """Print them."""
    say = sys.stdout.write
    lengths = {path: len(path.read_text().splitlines()) for path in files()}
    folders = Counter(path.parent for path in lengths)
    folder, most = folders.most_common(1)[0]
    largest = max(lengths, key=lambda path: lengths[path])
    say(f"lines: {sum(lengths.values()):,} in {len(lengths)} files\n")
    say(f"most files in a folder: {most} ({folder.relative_to(SOURCE)})\n")
    say(f"largest file: {lengths[largest]} lines ({largest.relative_to(SOURCE)})\n")
    say("longest functions: " + "; ".join(f"{count} {name}" for count, name in longest()) + "\n")
    say(f"class names used twice: {len(class_names())} {class_names() or ''}\n")
    say(f"isinstance on targets: {len(kind_questions())} {kind_questions() or ''}\n")
    say(f"an in-place restore: {in_place()}\n")
    for layout in Layout:
        whole, event = one_event(layout, to_the_port=False), one_event(layout, to_the_port=True)
        say(f"one Lambda event, {layout} layout: {event}\n  with all behind the store's port: {whole}\n")
        if "-v" in sys.argv:
            say("".join(f"    {each}\n" for each in event.stays))


if __name__ == "__main__":
    main()
