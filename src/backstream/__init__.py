"""A time machine for DynamoDB: every change of a table kept in S3, any row, tenant or the whole table back to any second.

import backstream
vault = backstream.open("s3://bucket/prefix")
vault.table("flights").restore(at="15m ago", to="flights-before")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backstream.errors import BackstreamError
from backstream.version import __version__

if TYPE_CHECKING:
    from backstream.apps.library import TableBackup, Vault, open  # noqa: A004 - the promised name
    from backstream.apps.verbs.tables import diff, dump, replicate
    from backstream.model.migration import DELETE, DynamoDBJson

__all__ = [
    "DELETE",
    "BackstreamError",
    "DynamoDBJson",
    "TableBackup",
    "Vault",
    "__version__",
    "diff",
    "dump",
    "open",
    "replicate",
]

# The modules of the names that are not the library's own.
_ROOMS = {
    **dict.fromkeys(("DELETE", "DynamoDBJson"), "backstream.model.migration"),
    **dict.fromkeys(("diff", "dump", "replicate"), "backstream.apps.verbs.tables"),
}


def __getattr__(name: str) -> Any:
    """Loads the library at its first use, so that a package can be imported without everything above it."""
    if name in __all__:
        return getattr(import_module(_ROOMS.get(name, "backstream.apps.library")), name)
    raise AttributeError(f"module 'backstream' has no attribute {name!r}")
