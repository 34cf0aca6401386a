"""botocore's exceptions for code that may run without botocore: nothing can raise them before botocore is imported.

Python evaluates the classes of an `except` clause only while an exception passes it. `except boto_errors() as error` therefore
costs nothing where nothing fails, and imports nothing: a vault in a folder goes without botocore, which is half of a start.
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
    """All that botocore raises; nothing while it is not imported."""
    module = sys.modules.get(_MODULE)
    return () if module is None else (module.ClientError, module.BotoCoreError)


def is_answer(error: BotoError) -> bool:
    """Whether the service answered, with an error; False where there was no answer."""
    return isinstance(error, sys.modules[_MODULE].ClientError)


def first_of(error: BotoError, kinds: Iterable[tuple[str, T]], default: T) -> T:
    """What stands beside the first of botocore's classes, by their names, that the error is of."""
    module = sys.modules[_MODULE]
    return next((kind for name, kind in kinds if isinstance(error, getattr(module, name))), default)
