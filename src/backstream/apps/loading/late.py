"""A class whose methods are in classes of other modules, loaded at the first access to one of them: PEP 562, for a class.

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
        """Returns the method of that name. From then on all methods of its class are this class's own: they call each other."""
        if name not in cls.ROOMS:
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")
        module, _, room = cls.ROOMS[name].partition(":")
        for each in getattr(import_module(module), room).__mro__:
            for method, function in vars(each).items():
                if isinstance(function, FunctionType) and method not in vars(cls):
                    setattr(cls, method, function)
        return vars(cls)[name]

    def __dir__(cls) -> list[str]:
        """Includes the methods that are not loaded yet."""
        return sorted({*super().__dir__(), *cls.ROOMS})


class LateMethods(metaclass=Late):
    """The base of such a class."""

    ROOMS: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        """Returns a method of this object that was not loaded yet."""
        return getattr(type(self), name).__get__(self)

    def __dir__(self) -> list[str]:
        """Includes the methods that are not loaded yet."""
        return dir(type(self))
