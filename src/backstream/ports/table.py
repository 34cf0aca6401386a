"""One DynamoDB table: what it is, what it holds, writes to it, and imports into a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from backstream.model.tables.creation import Creation
from backstream.model.tables.settings import TableSettings
from backstream.model.tables.setup import SetupStep
from backstream.model.values.schema import KeySchema


class TableFacts(msgspec.Struct, frozen=True):
    """What DescribeTable says, as far as this tool acts on it; `description` is all of it, as JSON."""

    name: str
    arn: str
    table_id: str
    schema: KeySchema
    status: str  # CREATING, ACTIVE, ...
    stream_arn: str | None  # of the latest stream, enabled or not
    stream_enabled: bool
    stream_view: str | None  # NEW_AND_OLD_IMAGES, ...
    description: bytes
    items: int = 0  # about so many: DynamoDB counts them every six hours


class ScanPage(msgspec.Struct, frozen=True):
    """One answer of a Scan.

    `after`: the key after which the scan goes on, None at its end; `answered`: the service's time when it answered (epoch seconds,
    whole); `units`: the read units that it says it took, None where it does not.
    """

    images: Sequence[bytes]
    after: bytes | None
    answered: float
    units: float | None


class Put(msgspec.Struct, frozen=True):
    """Write this image (DynamoDB JSON), replacing the item that has its key."""

    image: bytes


class Delete(msgspec.Struct, frozen=True):
    """Delete the item of this key (DynamoDB JSON)."""

    keys: bytes


Write = Put | Delete


class Table(Protocol):
    """One DynamoDB table. Images and keys are bytes of DynamoDB JSON, moved as they are. Safe to call from many threads.

    Errors: `MissingTable`, `AccessDenied`, `Unavailable` (throttled or unreachable, after the client's own retries), `Failed`.
    """

    @property
    def name(self) -> str:
        """The table's name."""

    def facts(self) -> TableFacts:
        """What the table is now."""

    def settings(self) -> TableSettings:
        """All that a table like it would need to be set up, normalised: the same settings are equal, whenever they are read.

        The parts are read one after another, not at one moment. A part that may not be read, or that the endpoint does not know, is
        named in `unknown`; AccessDenied is raised only where the table itself may not be described.
        """

    def is_empty(self) -> tuple[bool, float]:
        """Whether a strongly consistent read finds no item, and the server's time (epoch seconds) just before that read."""

    def server_time(self) -> float:
        """The service's time now (epoch seconds, whole): not later than any read that is begun after this has returned."""

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        """The next images of one of `segments` disjoint parts that together are the table: at most 1 MB, or `limit` items.

        `after`: the key (DynamoDB JSON) of an item of that part, still there or not, or what the last page gave; None: from the
        first. `consistent`: strongly; otherwise for half the units, and the last second's writes may be missing.
        """

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[Sequence[bytes]]:
        """Pages of images, strongly consistent, of one of `segments` disjoint parts that together are the table."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """The images of those of `keys` (any number) that exist, strongly consistent, in no order."""

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """One BatchWriteItem of at most 25 writes, no two on one key. Returns those that were *not* done, to be tried again.

        It is asked once: Unavailable says so at the first throttling, and whoever writes much decides how to go on. `took` is told
        the write units that it took, where the endpoint counts them.
        """

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """Do one write if the item is still as `before`, an image, or still does not exist (None). Whether it was done.

        Compared attribute by attribute, atomically with the write; only an attribute that somebody has added, and that neither
        `before` nor the write has, may go unseen. False also where an earlier attempt of the same write, whose answer was lost, has
        done it: look at the item to tell. Costs a request for each write.
        """

    def change_if(self, after: bytes, before: bytes) -> bool:
        """Turn the item that is as `before` into `after`, an image of the same key, touching no attribute but those that differ.

        So what somebody has added, and neither image names, stays. Whether it was done; False: nothing was, the item is another.
        It is asked once: after Unavailable it may have been done or not, and only a look at the item can tell. An item in which
        more than 200 attributes change is replaced whole, as by `write_if`.
        """

    def enable_stream(self) -> None:
        """Turn on a stream of new and old images and wait until the table says so."""

    def create(self, creation: Creation) -> None:
        """Create the table with all that is asked for and wait until it is ACTIVE. `TargetNotEmpty` if the name is taken."""

    def apply(self, step: SetupStep) -> None:
        """Carry out one step of a setup, whose request names this table.

        A table that is still changing is waited for, a minute at most. What is set already may be `Failed` when it is set again.
        """

    def delete(self) -> None:
        """Delete the table with all that is in it, and wait until it is gone; one that is being created is waited for first."""


class ImportState(msgspec.Struct, frozen=True):
    """How far an import is. `status`: IN_PROGRESS, COMPLETED, CANCELLING, CANCELLED or FAILED; counts are of items.

    `why` it failed; `log`: the CloudWatch log group that names each item that was not imported.
    """

    status: str
    processed: int
    imported: int
    errors: int
    why: str = ""
    log: str = ""


class Importer(Protocol):
    """DynamoDB's own import of files in S3 into a table that it makes. Once begun it goes on by itself. Errors as of `Table`."""

    def begin(self, table: str, creation: Creation, bucket: str, prefix: str, token: str) -> str:
        """Begin to import gzipped lines of `{"Item":...}` from the objects with that prefix; the import's ARN.

        The table is made as by `Table.create`, as far as ImportTable can: `TargetNotEmpty` if its name is taken. With the same
        `token` a second call within 8 hours is the first one again.
        """

    def state(self, arn: str) -> ImportState:
        """How far it is."""
