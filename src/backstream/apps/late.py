"""A class whose methods stand in classes of other modules, loaded when the first of them is asked for: PEP 562, for a class.

`backstream status` needs one method of `TableBackup` and its operation. All of them together load 200 modules more.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import FunctionType
from typing import Any, ClassVar


class Late(type):
    """`ROOMS` of such a class: its methods' names, to the class that defines them as `package.module:Class`."""

    ROOMS: Mapping[str, str]

    def __getattr__(cls, name: str) -> Any:
        """The method of that name. All of its class are this class's own from then on: they call each other."""
        if name not in cls.ROOMS:
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        module, _, room = cls.ROOMS[name].partition(":")
        for each in getattr(import_module(module), room).__mro__:
            for method, function in vars(each).items():
                if isinstance(function, FunctionType) and method not in vars(cls):
                    setattr(cls, method, function)
        return vars(cls)[name]

    def __dir__(cls) -> list[str]:
        """Those too that are not loaded yet."""
        return sorted({*super().__dir__(), *cls.ROOMS})


class LateMethods(metaclass=Late):
    """What such a class builds on."""

    ROOMS: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        """A method that was not loaded yet, of this object."""
        return getattr(type(self), name).__get__(self)

    def __dir__(self) -> list[str]:
        """Those too that are not loaded yet."""
        return dir(type(self))
