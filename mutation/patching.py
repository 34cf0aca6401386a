"""Puts a mutant into the functions of a module that is imported already: whoever has imported them runs the mutant."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any


class NotPatchable(Exception):
    """The fault is in what runs while the module is imported, or in a function that cannot be found by its name."""


def patch(module: str, source: str, mutant: str) -> None:
    """Make the functions of an imported module run the mutant's code. NotPatchable, and nothing changed, where that cannot be."""
    found = [(_function(sys.modules[module], name), code) for name, code in differing(source, mutant)]
    if not found:
        raise NotPatchable(module)
    for function, code in found:
        function.__code__ = code


def differing(source: str, mutant: str) -> list[tuple[str, CodeType]]:
    """The functions that differ, by qualified name, each with the mutant's code."""
    return list(_pairs(_compiled(source), _compiled(mutant)))


def _compiled(source: str) -> CodeType:
    return compile(source, "<mutant>", "exec", dont_inherit=True)


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Of a module's or a class's body."""
    mine, other = _parts(old), _parts(new)
    if old.co_code != new.co_code or [each for each in mine if not _is_code(each)] != [
        each for each in other if not _is_code(each)
    ]:
        raise NotPatchable(old.co_qualname)
    for before, after in zip(filter(_is_code, mine), filter(_is_code, other), strict=True):
        if before == after:
            continue
        if not after.co_flags & inspect.CO_OPTIMIZED:  # a class's body
            yield from _pairs(before, after)
        elif before.co_freevars == after.co_freevars:
            yield after.co_qualname, after
        else:
            raise NotPatchable(after.co_qualname)


def _parts(code: CodeType) -> list[Any]:
    return [*code.co_consts, code.co_names]


def _is_code(part: object) -> bool:
    return isinstance(part, CodeType)


def _function(module: object, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        try:
            found = inspect.getattr_static(found, part)
        except AttributeError as error:
            raise NotPatchable(name) from error
    return _plain(found, name)


def _plain(found: Any, name: str) -> FunctionType:
    """The function under a property, or another decorator that is known."""
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, functools.cached_property):
        found = found.func
    elif isinstance(found, classmethod | staticmethod):
        found = found.__func__
    found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise NotPatchable(name)
    return found
