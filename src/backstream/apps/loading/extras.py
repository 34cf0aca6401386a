"""Loads modules that need an extra, and says how to install it where it is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from backstream.errors import UsageError


def load(module: str, extra: str) -> ModuleType:
    """Returns the module. Raises UsageError if the packages of the extra are not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "backstream":
            raise
        raise UsageError(
            f"this needs the package {error.name}, which is not installed", hint=f"pip install 'backstream[{extra}]'"
        ) from error
