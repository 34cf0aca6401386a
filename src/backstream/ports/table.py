"""One DynamoDB table: its description, its items, writes to it, and imports into a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from backstream.errors import BackstreamError
from backstream.model.tables.creation import Creation
from backstream.model.tables.settings import TableSettings
from backstream.model.tables.setup import SetupStep
from backstream.model.values.schema import KeySchema

MOST_AT_ONCE = 16  # conditional writes that one call of `write_each` has under way


class TableFacts(msgspec.Struct, frozen=True):
    """The parts of DescribeTable's answer that this tool acts on. `description` is all of it, as JSON."""

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

    `after`: the key after which the scan continues, None at its end; `answered`: the service's time when it answered (epoch
    seconds, whole); `units`: the read units that it states, None if it does not.
    """

    images: Sequence[bytes]
    after: bytes | None
    answered: float
    units: float | None


class Put(msgspec.Struct, frozen=True):
    """Writes this image (DynamoDB JSON), replacing the item with its key."""

    image: bytes

    @property
    def body(self) -> bytes:
        """Returns the request's contents: the image. Its key is the item's."""
        return self.image

    @property
    def after(self) -> bytes | None:
        """The item after the write."""
        return self.image


class Delete(msgspec.Struct, frozen=True):
    """Deletes the item with this key (DynamoDB JSON)."""

    keys: bytes

    @property
    def body(self) -> bytes:
        """Returns the request's contents: the key."""
        return self.keys

    @property
    def after(self) -> bytes | None:
        """The item after the write: none."""
        return None


Write = Put | Delete


class ConditionalWrite(msgspec.Struct, frozen=True):
    """A write with its precondition: the item must still be as `before`, an image; None: it must still not exist."""

    write: Write
    before: bytes | None

    @property
    def body(self) -> bytes:
        """See `Put` and `Delete`."""
        return self.write.body

    @property
    def after(self) -> bytes | None:
        """The item after the write; None: none."""
        return self.write.after


class ScannedTable(Protocol):
    """The part of a table that a comparison needs. Every `Table` is one. For semantics and errors see there."""

    @property
    def name(self) -> str:
        """See `Table.name`."""

    def facts(self) -> TableFacts:
        """See `Table.facts`."""

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        """See `Table.page`."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """See `Table.fetch`."""

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """See `Table.write_if`."""

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """See `Table.write_each`."""


class Table(Protocol):
    """One DynamoDB table. Images and keys are bytes of DynamoDB JSON, moved unchanged. Safe to call from many threads.

    Errors: `MissingTable`, `AccessDenied`, `Unavailable` (throttled or unreachable, after the client's own retries), `Failed`.
    """

    @property
    def name(self) -> str:
        """The table's name."""

    def facts(self) -> TableFacts:
        """Returns the table's description now."""

    def settings(self) -> TableSettings:
        """Returns everything needed to set up a table like it, normalised: the same settings are equal, whenever they are read.

        The parts are read one after another, not at one moment. A part that may not be read, or that the endpoint does not know, is
        named in `unknown`. Raises AccessDenied only if the table itself may not be described.
        """

    def is_empty(self) -> tuple[bool, float]:
        """Returns whether a strongly consistent read finds no item, and the server's time (epoch seconds) just before that read."""

    def server_time(self) -> float:
        """Returns the service's time now (epoch seconds, whole): not later than any read that is begun after this has returned."""

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        """Returns the next images of one of `segments` disjoint parts that together are the table: at most 1 MB, or `limit` items.

        `after`: the key (DynamoDB JSON) of an item of that part, existing or not, or the last page's `after`; None: from the first.
        `consistent`: strongly consistent; otherwise half the units, and the last second's writes may be missing.
        """

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[Sequence[bytes]]:
        """Yields pages of images, strongly consistent, of one of `segments` disjoint parts that together are the table."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Returns the images of the existing items among `keys` (any number), strongly consistent, in no order."""

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """One BatchWriteItem of at most 25 writes, no two on one key. Returns those that were *not* done, to be tried again.

        The request is sent once: it raises Unavailable at the first throttling, and a caller that writes much decides how to
        continue. `took` receives the consumed write units, if the endpoint counts them.
        """

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """Does one write if the item is still as `before`, an image, or still does not exist (None). Returns whether it was done.

        Compared attribute by attribute, atomically with the write; only an attribute that somebody has added, and that neither
        `before` nor the write has, may go unseen. It also returns False if an earlier attempt of the same write, whose answer was
        lost, has done it: look at the item to tell. Costs a request for each write.
        """

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """Does each write as `write_if` does, no two of them on one key, up to `MOST_AT_ONCE` at a time and in no order.

        Returns the result of each in the order of `writes`, or the error that it ended with. Raises no error of the table's.
        """

    def change_if(self, after: bytes, before: bytes) -> bool:
        """Turns an item that is as `before` into `after`, an image of the same key, touching only the attributes that differ.

        So an attribute that somebody has added, and that neither image names, stays. Returns whether it was done; False means that
        the item has changed and nothing was written. The request is sent once: after Unavailable it may have been done or not, and
        only a look at the item can tell. If more than 200 attributes change, the item is replaced whole, as by `write_if`.
        """

    def enable_stream(self) -> None:
        """Turns on a stream of new and old images and waits until the table says so."""

    def create(self, creation: Creation) -> None:
        """Creates the table with all that is asked for and waits until it is ACTIVE.

        Raises `TargetNotEmpty` if the name is taken.
        """

    def apply(self, step: SetupStep) -> None:
        """Carries out one step of a setup, whose request names this table.

        Waits for a table that is still changing, a minute at most. May raise `Failed` if the setting is already set.
        """

    def delete(self) -> None:
        """Deletes the table with all its items, and waits until it is gone. Waits first for a table that is being created."""


class ImportState(msgspec.Struct, frozen=True):
    """The state of an import. `status`: IN_PROGRESS, COMPLETED, CANCELLING, CANCELLED or FAILED; counts are of items.

    `why`: the reason of a failure; `log`: the CloudWatch log group that names each item that was not imported.
    """

    status: str
    processed: int
    imported: int
    errors: int
    why: str = ""
    log: str = ""


class Importer(Protocol):
    """DynamoDB's own import of files in S3 into a table that it creates.

    Once begun it continues by itself. Raises the errors of `Table`.
    """

    def begin(self, table: str, creation: Creation, bucket: str, prefix: str, token: str) -> str:
        """Begins to import gzipped lines of `{"Item":...}` from the objects with that prefix, and returns the import's ARN.

        The table is created as by `Table.create`, as far as ImportTable can. Raises `TargetNotEmpty` if its name is taken. With the
        same `token`, a second call within 8 hours is the first one again.
        """

    def state(self, arn: str) -> ImportState:
        """Returns the state of the import."""
