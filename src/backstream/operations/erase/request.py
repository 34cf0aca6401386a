"""The request of an erasure, and what stands around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import UsageError
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.erase.discarded import DiscardedBatches
from backstream.ports import Clock, VersionRemover


class EraseRequest(msgspec.Struct, frozen=True):
    """The subject, and the reason. Exactly one of `keys` (canonical), `partition` and `tenant` is given. `by`: who asks for it.

    `files`: on this machine, of interrupted or undone restores: the subject is taken out of them, too. `forget_future`: changes of
    these items that arrive later are discarded; of a partition, new items too.
    """

    reason: str
    by: str
    keys: Sequence[bytes] = ()
    partition: str | None = None
    tenant: str | None = None
    dry_run: bool = False
    files: Sequence[Path] = ()
    forget_future: bool = False

    def check(self) -> None:
        """Raises UsageError unless it selects in exactly one way, and gives a reason."""
        ways = bool(self.keys) + (self.partition is not None) + (self.tenant is not None)
        if ways != 1:
            raise UsageError(
                "choose exactly one way to select the items to erase",
                hint="Give --key (several times), --keys, --partition or --tenant.",
            )
        if not self.reason.strip() and not self.dry_run:
            raise UsageError(
                "the reason of the erasure is missing", hint="Give --reason TEXT: it is kept in the record of the erasure."
            )


class EraseContext(msgspec.Struct, frozen=True):
    """`remover`: the right to remove versions, which only this and retention have; `batches`: the on-failure destination."""

    clock: Clock
    remover: VersionRemover
    memory: Memory = Memory()
    progress: Progress = Silent()
    batches: DiscardedBatches | None = None
