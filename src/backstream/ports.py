"""The seams of the house: what each part needs of the world, as Protocols with their semantics.

Implementations live in `stores/` and `tables/`; one contract suite per Protocol runs on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from backstream.errors import BackstreamError
from backstream.model.change import Change
from backstream.model.creation import Creation
from backstream.model.entry import Entry, Scanned
from backstream.model.schema import KeySchema
from backstream.model.settings import TableSettings
from backstream.model.setup import Step


class Clock(Protocol):
    """Where time comes from. Seconds since 1970 UTC; sleeping may be cut short by `wake`."""

    def now(self) -> float:
        """The machine's time, in epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


# --- objects ---------------------------------------------------------------------------------------------------------------------


class ObjectInfo(msgspec.Struct, frozen=True):
    """What a store knows of one version besides its bytes. `modified`: epoch seconds at which the *store* received it.

    `tag` names the version's content for `ObjectStore.put(if_match=)` (S3's ETag, with its quotes); empty where there is none.
    """

    name: str
    version: str
    size: int
    modified: float
    metadata: Mapping[str, str]
    tag: str = ""


class StoredObject(msgspec.Struct, frozen=True):
    """One version, whole."""

    info: ObjectInfo
    body: bytes


Tag = TypeVar("Tag")
Wanted = tuple[Tag, str, str | None]  # an object's name and version (None: the current one), and what the caller knows it by
Found = Generator[tuple[Tag, StoredObject | BackstreamError], None, None]


class ObjectVersion(msgspec.Struct, frozen=True):
    """One row of a version listing. Listings never carry metadata (neither does S3's)."""

    name: str
    version: str
    size: int
    modified: float
    latest: bool
    marker: bool  # a delete marker: no body, no metadata


class ListedObject(msgspec.Struct, frozen=True):
    """One row of a listing of current objects."""

    name: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Named, versioned bytes. Knows nothing of DynamoDB.

    Names are any 1-1,024 bytes of UTF-8, relative to the store's root (bucket and prefix, or folder). Reads see every write that
    has returned (as S3 since 2020). A write is whole or absent, never partial; when it has returned, it survives a crash.
    Nothing here ever removes a version. Safe to call from many threads.

    Errors: `MissingBucket`, `AccessDenied`, `Unavailable` (the same call may go through later), `Failed` for the rest.
    """

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`, `file:///folder` or `memory:`, for people and messages; no trailing slash."""

    def check(self) -> None:
        """Return if the root exists and keeps versions; raise `MissingBucket`, `UnversionedBucket` or `AccessDenied` otherwise."""

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Add a version on top of `name`; return its version id. Metadata: lower-case names, printable ASCII values, 2 KB in all.

        `if_absent`: only where no current object of that name exists (none ever, or a delete marker on top), atomically;
        `AlreadyExists` otherwise. If the answer to a first attempt was lost, its own write is recognised, not refused.

        `if_match`: only where the current object is still the one with this `ObjectInfo.tag`, atomically. `ConditionNotMet`
        where it is another one, `MissingObject` where there is none. A lost first attempt is recognised here too. `Failed`, and
        nothing written, where the server does not know such a condition: an unconditional write could undo somebody else's.
        One of the two conditions at most.
        """

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """The named version, or the current one. `MissingObject` (with `marker`) if there is none."""

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """Many objects, each as by `get`, with its tag: as they come, in no order. One thread at a time may ask for the next.

        An object that cannot be had comes as the error that `get` would raise, and the others go on; what `wanted` raises ends it.
        `wanted` is taken in the caller's thread as there is room: no more than 64 objects are under way or wait to be given out,
        and no more than 300 where some are to be tried again. Closed early it breaks off what is under way and leaves nothing
        running.
        """

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """At most `length` bytes (1 or more) of the current object, from its byte `start` on; a negative one counts from its end.

        Fewer where the object ends before; one that is shorter than its wanted end is given whole. Asking for what lies behind its
        end is `Failed`, as it is of S3. `MissingObject` as for `get`.
        """

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """As `get`, without the body."""

    def delete(self, name: str) -> str:
        """Put a delete marker on top; return the marker's version id. Also where nothing of that name exists (as S3 does)."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Current objects whose names start with `prefix` (plain text, no folder) and come after `after`, in UTF-8 byte order."""

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """All versions and delete markers of names that start with `prefix` and come after `after`: names in UTF-8 byte order,
        newest first in each.
        """

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """The versions and delete markers of this one name, newest first; none where nothing of that name was ever put."""


class Markers(Protocol):
    """The right to take delete markers away. No writer of changes is given it: an `ObjectStore` never removes anything."""

    def remove(self, name: str, version: str) -> bool:
        """Remove one delete marker, so that what it hid is current again. False where no version with that id exists any more.

        `Refused` where that version is not a delete marker: a version with a body is never removed.
        """


class Files(Protocol):
    """Named bytes, written once and read whole: where a snapshot goes, and where AWS's exports lie. Every `ObjectStore` is one.

    Names, durability and errors are those of `ObjectStore`; versions are not needed.
    """

    @property
    def url(self) -> str:
        """As of `ObjectStore`."""

    def put(self, name: str, body: bytes) -> str:
        """Make the file durable, whole or not at all, and return its version, `null` where there are none."""

    def get(self, name: str) -> StoredObject:
        """The file. `MissingObject` if there is none."""


# --- images ----------------------------------------------------------------------------------------------------------------------


class Images(Protocol):
    """Where a layout keeps images. The log's entries say where each lives, so that one vault may hold several layouts' images."""

    def keep(self, change: Change) -> Entry:
        """Make the change's image durable and return its entry for the log.

        Idempotent: the same change again gives an entry of the same image. One item's changes come from one thread at a time;
        late ones are welcome. Raises what the store raises; the image is then not durable.
        """


class ScannedImages(Protocol):
    """Where a layout keeps states that were read from the table or an export. Every layout's images are this too."""

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """As `Images.keep`; and whether anything had to be written, since what is kept already is not written again."""


# --- tables ----------------------------------------------------------------------------------------------------------------------


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

    def apply(self, step: Step) -> None:
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


# --- streams ---------------------------------------------------------------------------------------------------------------------


class Shard(msgspec.Struct, frozen=True):
    """One shard as DescribeStream lists it. `last` is set once the shard is closed: it will get no more records.

    `adjacent`: the other parent of a Kinesis shard that two were merged into.
    """

    id: str
    parent: str | None
    first: str | None
    last: str | None
    adjacent: str | None = None

    @property
    def parents(self) -> Sequence[str]:
        """The shards whose keys it took over: they are read before it."""
        return [each for each in (self.parent, self.adjacent) if each is not None]


class StreamFacts(msgspec.Struct, frozen=True):
    """A stream and all its shards (every page). `label` names the stream and orders it among the table's streams."""

    arn: str
    label: str
    enabled: bool
    view: str
    shards: Sequence[Shard]


class Page(msgspec.Struct, frozen=True):
    """One GetRecords answer. `server_time`: epoch seconds by the service's clock. `next` is None at the end of a closed shard.

    Only of a Kinesis stream: `positions` and `arrivals` are the changes' places in the shard, which are not their sequence numbers,
    and when they came there (epoch seconds); `reached`: the place of the last record, of whatever table, None where there was none;
    `behind`: seconds from there to the newest record, 0 at the shard's end.
    """

    changes: Sequence[Change]
    next: str | None
    server_time: float
    positions: Sequence[str] = ()
    arrivals: Sequence[float] = ()
    reached: str | None = None
    behind: float | None = None


class ChangeStream(Protocol):
    """One table's changes in a DynamoDB stream, or in a Kinesis stream. Errors as for `Table`, and those named below."""

    def facts(self) -> StreamFacts:
        """The stream with all its shards, open and closed, that it still lists."""

    def iterator(self, shard: str, after: str | None) -> str:
        """Where to read on: after that sequence number (in Kinesis: position), or at the oldest record held (None).

        `RecordsTrimmed` where the stream no longer holds what follows `after`.
        """

    def read(self, shard: str, iterator: str) -> Page:
        """The next records, in the shard's order. `IteratorExpired`, `RecordsTrimmed`, `WrongStreamView` (no whole images)."""


# --- the account around them -----------------------------------------------------------------------------------------------------

Described = Mapping[str, Any]  # AWS's own answer, or a part of it, decoded


class BucketSettings(Protocol):
    """How one bucket is set up, as S3 tells it. A setting that it does not have is None, or empty: that is an answer.

    Errors as of `ObjectStore`; one that may not be read is `AccessDenied`, one that the endpoint does not know `Failed`.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def find(self) -> str:
        """HeadBucket: the bucket's region, empty where the endpoint does not say. `MissingBucket`."""

    def is_of(self, account: str) -> bool:
        """HeadBucket with ExpectedBucketOwner: whether it is that account's, of a bucket that `find` finds."""

    def server_time(self) -> float:
        """S3's time now (epoch seconds, whole), whatever it answers. Failed where it does not say."""

    def versioning(self) -> str:
        """GetBucketVersioning: `Enabled`, `Suspended`, or nothing where it never was."""

    def encryption(self) -> str | None:
        """GetBucketEncryption: the algorithm that objects are encrypted with by default (`AES256`, `aws:kms`)."""

    def public_access_block(self) -> Described:
        """GetPublicAccessBlock's configuration."""

    def policy(self) -> Described:
        """GetBucketPolicy's document. Damaged where it is no JSON."""

    def object_lock(self) -> Described:
        """GetObjectLockConfiguration's configuration."""

    def lifecycle(self) -> Sequence[Described]:
        """GetBucketLifecycleConfiguration's rules."""


class Account(Protocol):
    """Who asks, and what is deployed: functions, what feeds them, and alarms. Errors: `AccessDenied`, `Unavailable`, `Failed`."""

    def identity(self) -> Described:
        """GetCallerIdentity: `Account`, `Arn`."""

    def function(self, name: str) -> Described:
        """GetFunctionConfiguration. `NotFound`."""

    def reserved_concurrency(self, name: str) -> int | None:
        """GetFunctionConcurrency: how many invocations may run at once, None where none are reserved."""

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        """ListEventSourceMappings, every page: those of a stream, of a function, or of both."""

    def alarms(self) -> Sequence[Described]:
        """DescribeAlarms, every page: the metric alarms of the region."""
