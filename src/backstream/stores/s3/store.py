"""S3 as a `ports.ObjectStore`, over any client (`s3.api.S3Api`).

The client retries single requests. The store handles two cases that the client cannot: a body that breaks off while it is read, and
a conditional write that meets its own first attempt.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from secrets import token_hex
from typing import TypeVar

import msgspec

from backstream.errors import (
    AlreadyExists,
    BackstreamError,
    ConditionNotMet,
    Failed,
    MissingBucket,
    MissingObject,
    Unavailable,
    UnversionedBucket,
)
from backstream.ports import Clock, Found, ListedObject, NewObject, ObjectInfo, ObjectVersion, StoredObject, Tag, Wanted, Written
from backstream.retries import Attempt, full_jitter, persistently
from backstream.stores.s3.api import NULL_VERSION, ListingPage, ManyPuts, Row, S3Api
from backstream.stores.s3.failures import NO_BUCKET, TryAgain

_Answer = TypeVar("_Answer")

_WRITE_ID = "backstream-write"  # metadata of a conditional write, hidden from callers
_PROBE = ".if-match"  # an object that is asked for beside one that is to be changed, to see whether the server knows conditions
_NO_TAG = f'"{"0" * 32}"'
_MORE_ATTEMPTS = 4
_REMEMBERED = 10_000


class S3Store:
    """See `ports.ObjectStore`. The store's names lie below `prefix/`, so `x/users` never sees `x/users-archive`.

    `versioned`: True to refuse a write to a bucket without versions; False if it may keep none, as for `ports.Files`.
    """

    def __init__(self, api: S3Api, prefix: str, clock: Clock, *, versioned: bool = True) -> None:
        self._api = api
        self._root = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._clock = clock
        self._versioned = versioned
        self._bucket_found = False
        self._unanswered = _UnansweredWrites()
        self._knows_conditions: bool | None = None  # not asked yet

    @property
    def url(self) -> str:
        return f"s3://{self._api.bucket}/{self._root}".rstrip("/")

    def check(self) -> None:
        status = self._api.versioning()
        if status != "Enabled":
            raise self._unversioned(status or "never enabled")
        self._bucket_found = True

    def _unversioned(self, why: str) -> UnversionedBucket:
        bucket = self._api.bucket
        return UnversionedBucket(
            f"The bucket {bucket} keeps no versions ({why}): overwritten objects are lost.",
            hint=f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
        )

    # --- writing ---

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        if if_match is not None:
            self._check_conditions(name)
        if if_absent or if_match is not None:
            return self._put_if(name, body, dict(metadata or {}), if_match)
        return self._checked(self._api.put(self._root + name, body, metadata or {}))

    def _put_if(self, name: str, body: bytes, metadata: dict[str, str], if_match: str | None) -> str:
        """Writes if the condition holds, and recognizes its own write. `if_match` None: only if there is no object.

        An attempt whose answer is lost may have written. So each carries an id, and a refusal counts only if the id on top is
        another one. An attempt that stays without an answer leaves its id to the next call for the same write.
        """
        write = (name, sha256(body).digest(), tuple(sorted(metadata.items())), if_match)
        write_id = self._unanswered.take(write)
        try:
            return self._again(lambda: self._try_put_if(name, body, {**metadata, _WRITE_ID: write_id}, if_match))
        except Unavailable:
            self._unanswered.keep(write, write_id)
            raise

    def _try_put_if(self, name: str, body: bytes, metadata: dict[str, str], if_match: str | None) -> str:
        try:
            key = self._root + name
            return self._checked(self._api.put(key, body, metadata, if_absent=if_match is None, if_match=if_match))
        except AlreadyExists:
            if version := self._version_of_write(name, metadata[_WRITE_ID]):
                return version
            if if_match is None:
                raise AlreadyExists(f"{self.url}/{name} exists already.") from None
            raise ConditionNotMet(f"{self.url}/{name} has changed.") from None

    def _check_conditions(self, name: str) -> None:
        """Raises Failed if the server ignores `If-Match`. It asks once, with a tag that no object has.

        A server that knows the condition writes nothing then.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html (412, or 404 if there is no object)
        """
        if self._knows_conditions is None:
            try:
                self._api.put(f"{self._root}{name}{_PROBE}", b"", {}, if_match=_NO_TAG)
                self._knows_conditions = False
            except (AlreadyExists, MissingObject):
                self._knows_conditions = True
        if not self._knows_conditions:
            raise Failed(
                f"the server of {self.url} ignores If-Match: {name} was not changed, since another change at once would be lost",
                hint="Use a server that knows S3's conditional writes, or a newer version of it (check AWS_ENDPOINT_URL_S3).",
            )

    def _version_of_write(self, name: str, write_id: str) -> str | None:
        """Returns the current version, if it comes from that write."""
        try:
            there = self._head(name, None)
        except MissingObject:
            return None  # deleted since
        return there.version if there.metadata.get(_WRITE_ID) == write_id else None

    def delete(self, name: str) -> str:
        return self._checked(self._api.delete(self._root + name))

    def _checked(self, version: str) -> str:
        if version == NULL_VERSION and self._versioned:
            raise self._unversioned("versioning was turned off")
        return version

    @property
    def writes_many(self) -> bool:
        return isinstance(self._api, ManyPuts)

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        api = self._api
        if not isinstance(api, ManyPuts):
            raise TypeError(f"{api!r} has one request in flight")  # whoever asks has looked at `writes_many`

        with closing(api.put_each((tag, _below(self._root, new)) for tag, new in wanted)) as outcomes:
            for tag, outcome in outcomes:
                yield tag, outcome if isinstance(outcome, BackstreamError) else self._checked(outcome)

    # --- reading ---

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return _named(name, self._again(lambda: self._api.get(self._root + name, version)))

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        def ask(attempts: Iterator[Attempt[Wanted[Tag]]]) -> Found[Attempt[Wanted[Tag]]]:
            return self._api.get_each((each, self._root + each.item[1], each.item[2]) for each in attempts)

        with closing(
            persistently(ask, wanted, worth_another=_broke_off, delays=_more_attempts, sleep=self._clock.sleep)
        ) as outcomes:
            for (tag, name, _), outcome in outcomes:
                yield tag, outcome if isinstance(outcome, BackstreamError) else _named(name, outcome)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        # A range that counts from the end reaches to the end: https://www.rfc-editor.org/rfc/rfc9110#name-byte-ranges
        which = f"bytes={start}-{start + length - 1}" if start >= 0 else f"bytes={start}"
        return self._again(lambda: self._api.get_range(self._root + name, which))[:length]

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return _told(name, self._head(name, version))

    def _head(self, name: str, version: str | None) -> ObjectInfo:
        try:
            return self._api.head(self._root + name, version)
        except MissingObject as missing:
            if not missing.marker:
                self._find_bucket()
            raise

    def _find_bucket(self) -> None:
        """Raises `MissingBucket` if the bucket is missing: a HEAD's answer has no body to say so. It asks once."""
        if self._bucket_found:
            return
        try:
            self._api.find()
        except MissingObject as missing:
            raise MissingBucket(missing.message, hint=NO_BUCKET.hint) from missing
        self._bucket_found = True

    # --- listing ---

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        start = {"StartAfter": self._root + after} if after else {}
        return self._listed(lambda place: self._api.list_page(self._root + prefix, place), start)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        start = {"KeyMarker": self._root + after} if after else {}
        return self._listed(lambda place: self._api.versions_page(self._root + prefix, place), start)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        # S3 can list only by prefix. Names come in order, so the names after this name's own versions only start like it.
        return itertools.takewhile(lambda row: row.name == name, self.versions(name))

    def _listed(self, ask: Callable[[Mapping[str, str]], ListingPage[Row]], start: Mapping[str, str]) -> Iterator[Row]:
        """Yields the rows of all pages, with the store's names, without the empty-named "folder" of the S3 console."""
        place: Mapping[str, str] | None = start
        while place is not None:
            page = ask(place)
            if self._root:
                named = ((row, row.name.removeprefix(self._root)) for row in page.rows)
                yield from (msgspec.structs.replace(row, name=name) for row, name in named if name)
            else:
                yield from page.rows
            place = page.following

    def _again(self, call: Callable[[], _Answer]) -> _Answer:
        """Calls until it does not end in `TryAgain`, a few times."""
        delays = _more_attempts()
        while True:
            try:
                return call()
            except TryAgain:
                if (delay := next(delays, None)) is None:
                    raise
                self._clock.sleep(delay)


class _UnansweredWrites:
    """The ids of conditional writes that may or may not have happened, until the same write is tried again."""

    def __init__(self) -> None:
        self._ids: dict[object, str] = {}
        self._lock = threading.Lock()

    def take(self, write: object) -> str:
        """Returns the id under which this write was tried before, now only for this caller; or a new one."""
        with self._lock:
            return self._ids.pop(write, None) or token_hex(16)

    def keep(self, write: object, write_id: str) -> None:
        """Remembers the id. If there are very many, the oldest are forgotten: their writers have long given up."""
        with self._lock:
            self._ids[write] = write_id
            if len(self._ids) > _REMEMBERED:
                del self._ids[next(iter(self._ids))]


def _more_attempts() -> Iterator[float]:
    return full_jitter(random.random, attempts=_MORE_ATTEMPTS)


def _broke_off(outcome: object) -> bool:
    return isinstance(outcome, TryAgain)


def _below(root: str, new: NewObject) -> NewObject:
    return NewObject(root + new.name, new.body, new.metadata, new.if_absent)


def _named(name: str, found: StoredObject) -> StoredObject:
    return StoredObject(_told(name, found.info), found.body)


def _told(name: str, info: ObjectInfo) -> ObjectInfo:
    """Returns a version's info for the caller: its own name and metadata."""
    metadata = {key: value for key, value in info.metadata.items() if key != _WRITE_ID}
    return ObjectInfo(name, info.version, info.size, info.modified, metadata, info.tag)
