"""Removes versions from a bucket for good: `ports.VersionRemover`.

It needs s3:DeleteObjectVersion, which capture and restore never have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from backstream.boto_errors import boto_errors
from backstream.errors import AccessDenied, Failed, MissingObject, Unavailable
from backstream.ports import ObjectVersion, Removal, VersionLock
from backstream.stores.s3.api import Terms
from backstream.stores.s3.boto import of_bucket
from backstream.stores.s3.failures import ErrorAnswer, named, of_answer, subject

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client

TOGETHER = 1_000  # versions in one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
REQUESTS = 8  # side by side
OPERATION = "DeleteObjectVersion"
NEEDS = (
    "Removing versions takes a role of its own, with s3:DeleteObjectVersion on the vault: see docs/security.md. "
    "With Object Lock the role also needs s3:GetObjectRetention and s3:GetObjectLegalHold."
)
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\r")
_GONE = ("NoSuchKey", "NoSuchVersion")


class S3Remover:
    """See `ports.VersionRemover`. `now`: tells whether a retention date has passed; `terms`: see `api.Terms`."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, now: Callable[[], float], terms: Terms | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._root = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._now = now
        self._terms = terms or Terms()

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        with ThreadPoolExecutor(REQUESTS, thread_name_prefix="remover") as pool:
            requests = _batches(wanted, TOGETHER)
            while some := list(islice(requests, REQUESTS)):
                for outcomes in pool.map(self._remove, some):
                    yield from outcomes

    def _remove(self, some: Sequence[ObjectVersion]) -> list[Removal]:
        """Removes up to a thousand versions. A name that XML cannot express takes a request of its own."""
        alone = [each for each in some if _NOT_IN_XML.search(self._root + each.name)]
        together = [each for each in some if each not in alone] if alone else some
        refused = {(each.name, each.version): self._remove_one(each) for each in alone}
        refused |= self._remove_together(together) if together else {}
        return [Removal(each, self._lock_behind(each, refused.get((each.name, each.version)))) for each in some]

    def _remove_together(self, some: Sequence[ObjectVersion]) -> dict[tuple[str, str], Failed | None]:
        """Returns why versions are still there, by name and version."""
        objects = [{"Key": self._root + each.name, "VersionId": each.version} for each in some]
        try:
            answer: Mapping[str, Any] = self._client.delete_objects(
                **self._place(),
                Delete={"Objects": objects, "Quiet": True},  # type: ignore[typeddict-item]
            )
        except boto_errors() as error:
            raise _explained(named(error, OPERATION, subject(self._bucket, objects[0]["Key"]))) from error
        refused = [each for each in answer.get("Errors", ()) if each.get("Code") not in _GONE]
        # Not every server says which version of a name it has refused: those are asked for one by one.
        unclear = {each["Key"].removeprefix(self._root) for each in refused if "VersionId" not in each}
        found = {
            (each["Key"].removeprefix(self._root), each["VersionId"]): self._refusal(each)
            for each in refused
            if "VersionId" in each
        }
        return found | {(each.name, each.version): self._remove_one(each) for each in some if each.name in unclear}

    def _refusal(self, told: Mapping[str, Any]) -> Failed:
        said = ErrorAnswer(str(told.get("Code", "")), str(told.get("Message", "")), 200, {})
        return of_answer(said, OPERATION, subject(self._bucket, told["Key"], told.get("VersionId")))

    def _remove_one(self, each: ObjectVersion) -> Failed | None:
        key = self._root + each.name
        try:
            self._client.delete_object(**self._place(), Key=key, VersionId=each.version)
        except boto_errors() as error:
            found = named(error, OPERATION, subject(self._bucket, key, each.version))
            return None if isinstance(found, MissingObject) else found
        return None

    def _lock_behind(self, version: ObjectVersion, refusal: Failed | None) -> VersionLock | None:
        """Returns the lock that explains a refusal; None if there was no refusal. Raises the refusal if no lock explains it."""
        if refusal is None:
            return None
        lock = None if isinstance(refusal, Unavailable) else self.lock_of(version)
        if lock is None:
            raise _explained(refusal)
        return lock

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        where = {**self._place(), "Key": self._root + version.name, "VersionId": version.version}
        # HeadObject tells both, to who may ask for them: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        found = self._asked(lambda: self._client.head_object(**where))
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            return VersionLock()
        until = found.get("ObjectLockRetainUntilDate")
        return VersionLock(until.timestamp()) if until is not None and until.timestamp() > self._now() else None

    def _asked(self, ask: Callable[[], Any]) -> Mapping[str, Any]:
        """Returns an answer about locks; an empty one if there is none, if the server knows no locks, or if nobody may ask."""
        try:
            found: Mapping[str, Any] = ask()
        except boto_errors() as error:
            if isinstance(named(error, "", ""), Unavailable):
                raise named(error, "HeadObject", subject(self._bucket)) from error
            return {}
        return found

    def _place(self) -> dict[str, Any]:
        return of_bucket(self._bucket, self._terms.owner(), self._terms.settings(self._root))


def _batches(wanted: Iterable[ObjectVersion], size: int) -> Iterator[list[ObjectVersion]]:
    left = iter(wanted)
    while some := list(islice(left, size)):
        yield some


def _explained(error: Failed) -> Failed:
    return AccessDenied(error.message, hint=NEEDS) if isinstance(error, AccessDenied) else error
