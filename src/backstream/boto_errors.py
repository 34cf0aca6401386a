"""botocore's exceptions for code that may run without botocore: nothing can raise them before botocore is imported.

Python evaluates the classes of an `except` clause only while an exception passes it. `except boto_errors() as error` therefore
costs nothing if nothing fails, and imports nothing: a vault in a folder does not need botocore, which takes half of a start.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.exceptions import BotoCoreError, ClientError

    BotoError: TypeAlias = ClientError | BotoCoreError

T = TypeVar("T")

_MODULE = "botocore.exceptions"


def boto_errors() -> tuple[type[ClientError], type[BotoCoreError]] | tuple[()]:
    """Returns botocore's error classes; none while it is not imported."""
    module = sys.modules.get(_MODULE)
    return () if module is None else (module.ClientError, module.BotoCoreError)


def is_answer(error: BotoError) -> bool:
    """True if the service answered with an error; False if there was no answer."""
    return isinstance(error, sys.modules[_MODULE].ClientError)


def first_of(error: BotoError, kinds: Iterable[tuple[str, T]], default: T) -> T:
    """Returns the value beside the first of botocore's classes, by their names, that the error belongs to."""
    module = sys.modules[_MODULE]
    return next((kind for name, kind in kinds if isinstance(error, getattr(module, name))), default)
