"""S3's requests over the project's own transport: the many requests of the data plane. The few others are left to botocore."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar
from xml.parsers import expat

import msgspec

from backstream.boto_errors import boto_errors
from backstream.errors import BackstreamError, Damaged, Failed
from backstream.model import moment
from backstream.model.request_settings import RequestSettings
from backstream.ports import Found, ListedObject, NewObject, ObjectInfo, ObjectVersion, StoredObject, Tag, Wanted, Written
from backstream.stores.s3 import listings
from backstream.stores.s3.api import NULL_VERSION, ListingPage, S3Api
from backstream.stores.s3.failures import BROKEN_OFF, ErrorAnswer, beyond_limit, named, no_answer, not_a_listing, of_answer, subject
from backstream.transport.messages import HttpRequest, NoAnswer, Reply, object_path, query_of

META = "x-amz-meta-"
OWNER = "x-amz-expected-bucket-owner"
_CHECKSUM = {"x-amz-checksum-mode": "ENABLED"}
# S3's names of a listing's parameters on the wire, by those in its API.
WORDS = {
    "StartAfter": "start-after",
    "ContinuationToken": "continuation-token",
    "KeyMarker": "key-marker",
    "VersionIdMarker": "version-id-marker",
}


_Place = TypeVar("_Place")
_Outcomes = Generator[tuple[Wanted[Tag], Reply | NoAnswer | BackstreamError], None, None]


class S3Sender(Protocol):
    """Sends requests and retries them: see `transport.retrying.RetryingSender`."""

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""

    def exchange(self, requests: Iterable[tuple[_Place, HttpRequest]]) -> Generator[tuple[_Place, Reply | NoAnswer], None, None]:
        """Yields the answers, or why there is none, as they come, each with its request's tag."""


class HttpApi:
    """See `s3.api.S3Api`. `control`: the same bucket's requests by botocore."""

    def __init__(self, sender: S3Sender, control: S3Api) -> None:
        self._sender = sender
        self._control = control
        self._bucket = control.bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def owner(self) -> str | None:
        return self._control.owner()

    def settings(self, key: str) -> RequestSettings:
        return self._control.settings(key)

    def limit(self, key: str) -> int:
        return self._control.limit(key)

    def versioning(self) -> str:
        return self._control.versioning()

    def find(self) -> None:
        self._control.find()

    def put(
        self, key: str, body: bytes, metadata: Mapping[str, str], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        condition = {"if-none-match": "*"} if if_absent else {} if if_match is None else {"if-match": if_match}
        reply = self._ask("PutObject", subject(self._bucket, key), self._put(key, body, metadata, condition))
        return reply.headers.get("x-amz-version-id", NULL_VERSION)

    def _put(self, key: str, body: bytes, metadata: Mapping[str, str], condition: Mapping[str, str]) -> HttpRequest:
        """Makes the request, without the headers of each request. Raises `Failed` where S3 would refuse the metadata."""
        # A checksum of the body goes with it: S3 compares it, and buckets with Object Lock require one.
        checksum = base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()
        demanded = self.settings(key).of_put(key)
        headers = {"x-amz-checksum-crc32": checksum, "x-amz-sdk-checksum-algorithm": "CRC32", **demanded, **condition}
        for name, value in metadata.items():
            headers[META + name.lower()] = value
        said = "".join(headers.values())
        if not (said.isascii() and said.isprintable()):
            what = subject(self._bucket, key)
            raise Failed(f"PutObject of {what} failed: its metadata is not printable ASCII: {dict(metadata)}")
        return HttpRequest("PUT", object_path(key), "", headers, body)

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        unfit: list[tuple[Tag, BackstreamError]] = []
        with closing(self._outcomes("PutObject", self._puts(wanted, unfit))) as outcomes:
            for (tag, name, _), outcome in outcomes:
                if isinstance(outcome, Reply) and outcome.fine:
                    yield tag, outcome.headers.get("x-amz-version-id", NULL_VERSION)
                else:
                    yield tag, _error(outcome, "PutObject", subject(self._bucket, name))
        yield from unfit

    def _puts(
        self, wanted: Iterable[tuple[Tag, NewObject]], unfit: list[tuple[Tag, BackstreamError]]
    ) -> Iterator[tuple[Wanted[Tag], HttpRequest]]:
        """The requests; an item that cannot be one is put among the `unfit`."""
        for tag, new in wanted:
            condition = {"if-none-match": "*"} if new.if_absent else {}
            try:
                request = self._put(new.name, new.body, new.metadata, self._expecting(condition))
            except Failed as error:
                unfit.append((tag, error))
            else:
                yield (tag, new.name, None), request

    def get(self, key: str, version: str | None) -> StoredObject:
        return self._whole(key, version, self._ask("GetObject", subject(self._bucket, key, version), self._get(key, version)))

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        requests = ((each, self._get(each[1], each[2])) for each in wanted)
        with closing(self._outcomes("GetObject", requests)) as outcomes:
            for (tag, key, version), outcome in outcomes:
                yield tag, self._outcome(key, version, outcome)

    def _outcomes(self, operation: str, requests: Iterable[tuple[Wanted[Tag], HttpRequest]]) -> _Outcomes[Tag]:
        """Yields the outcomes of many requests as they end, each with its object; a limited number is under way at a time."""
        under_way: dict[int, Wanted[Tag]] = {}

        def noted() -> Iterator[tuple[int, HttpRequest]]:
            for place, (each, request) in enumerate(requests):
                under_way[place] = each
                yield place, request

        coming = noted()
        while True:
            try:
                with closing(self._sender.exchange(coming)) as outcomes:
                    for place, outcome in outcomes:
                        yield under_way.pop(place), outcome
            except boto_errors() as error:  # where credentials come from; what was under way has been broken off
                for each in under_way.values():
                    yield each, named(error, operation, subject(self._bucket, each[1], each[2]))
                under_way.clear()
            else:
                return

    def _get(self, key: str, version: str | None) -> HttpRequest:
        return HttpRequest("GET", object_path(key), _which(version), self._expecting(_CHECKSUM), most=self.limit(key))

    def _expecting(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Returns headers with the expected owner of the bucket, and who pays. S3 answers 403 if it is another account.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
        """
        owner, demanded = self.owner(), self.settings("").of_every_request
        known = {} if owner is None else {OWNER: owner}
        return {**headers, **known, **demanded} if known or demanded else headers

    def _outcome(
        self, key: str, version: str | None, outcome: Reply | NoAnswer | BackstreamError
    ) -> StoredObject | BackstreamError:
        if not (isinstance(outcome, Reply) and outcome.fine):
            return _error(outcome, "GetObject", subject(self._bucket, key, version))
        try:
            return self._whole(key, version, outcome)
        except BackstreamError as error:
            return error

    def _whole(self, key: str, version: str | None, reply: Reply) -> StoredObject:
        """Returns the object of an answer, if it matches its checksum."""
        told = reply.headers.get("x-amz-checksum-crc32")
        if told is not None and "-" not in told and told != base64.b64encode(zlib.crc32(reply.body).to_bytes(4)).decode():
            what = subject(self._bucket, key, version)
            raise BROKEN_OFF.error(f"GetObject of {what} failed: the body is not what its checksum says", hint=BROKEN_OFF.hint)
        return StoredObject(_info(key, reply), reply.body)

    def get_range(self, key: str, which: str) -> bytes:
        request = HttpRequest("GET", object_path(key), "", {"range": which}, most=self.limit(key))
        return self._ask("GetObject", subject(self._bucket, key), request).body

    def head(self, key: str, version: str | None) -> ObjectInfo:
        request = HttpRequest("HEAD", object_path(key), _which(version))
        return _info(key, self._ask("HeadObject", subject(self._bucket, key, version), request))

    def delete(self, key: str) -> str:
        reply = self._ask("DeleteObject", subject(self._bucket, key), HttpRequest("DELETE", object_path(key)))
        return reply.headers.get("x-amz-version-id", NULL_VERSION)

    def list_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ListedObject]:
        page = self._listing("ListObjectsV2", [("list-type", "2")], prefix, place)
        with self._reading_rows():
            following = {"ContinuationToken": page.fields["NextContinuationToken"]} if _goes_on(page) else None
            return ListingPage(listings.objects(page), following)

    def versions_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ObjectVersion]:
        page = self._listing("ListObjectVersions", [("versions", "")], prefix, place)
        following = None
        with self._reading_rows():
            if _goes_on(page):
                following = {
                    "KeyMarker": page.text(page.fields, "NextKeyMarker"),
                    "VersionIdMarker": page.fields["NextVersionIdMarker"],
                }
            return ListingPage(listings.versions(page), following)

    @contextmanager
    def _reading_rows(self) -> Iterator[None]:
        """Context that raises Damaged if a page lacks a field of an object, or has it in another form."""
        try:
            yield
        except KeyError as error:
            raise not_a_listing(self._bucket, f"it does not say {error}") from error
        except (ValueError, OverflowError) as error:
            raise not_a_listing(self._bucket, str(error)) from error

    def _listing(
        self, operation: str, words: Iterable[tuple[str, str]], prefix: str, place: Mapping[str, str]
    ) -> listings.Document:
        parameters = [*words, ("encoding-type", "url"), ("prefix", prefix), *((WORDS[name], of) for name, of in place.items())]
        # A request that lists a bucket goes to the bucket itself, which is the endpoint's whole path or a slash.
        reply = self._ask(operation, subject(self._bucket, prefix), HttpRequest("GET", "/", query_of(parameters)))
        try:
            page = listings.read(reply.body)
        except expat.ExpatError as error:
            if error.code not in listings.CUT_OFF:
                raise not_a_listing(self._bucket, str(error)) from error
            why = f"the answer is not whole ({error})"
            raise no_answer(why, operation, subject(self._bucket, prefix), broken=True, permanent=False) from error
        if "IsTruncated" not in page.fields:
            raise not_a_listing(self._bucket)
        return page

    def _ask(self, operation: str, what: str, request: HttpRequest) -> Reply:
        request = msgspec.structs.replace(request, headers=self._expecting(request.headers))
        try:
            reply = self._sender.send(request)
        except NoAnswer as error:
            raise _refused(error, operation, what) from error
        except boto_errors() as error:  # where credentials come from
            raise named(error, operation, what) from error
        if not reply.fine:
            raise _refused(reply, operation, what)
        return reply


def over_http(control: S3Api, connect: Callable[[], S3Sender | None]) -> S3Api:
    """Returns the bucket's requests over `connect`'s sender; all of them go through botocore if that is None. See
    `transport.lines.Connections`.

    Raises the errors of `failures` if there are no credentials to connect with.
    """
    try:
        sender = connect()
    except boto_errors() as error:
        raise named(error, "access", subject(control.bucket)) from error
    return control if sender is None else HttpApi(sender, control)


def _error(outcome: Reply | NoAnswer | BackstreamError, operation: str, what: str) -> BackstreamError:
    """Why there is nothing, of one of many requests."""
    return _refused(outcome, operation, what) if isinstance(outcome, Reply | NoAnswer) else outcome


def _refused(outcome: Reply | NoAnswer, operation: str, what: str) -> BackstreamError:
    """Returns the project's error for a request without a result."""
    if isinstance(outcome, NoAnswer) and outcome.beyond:
        return beyond_limit(what)
    if isinstance(outcome, NoAnswer):
        return no_answer(outcome.message, operation, what, broken=outcome.broken, permanent=outcome.permanent)
    return of_answer(_said(outcome), operation, what)


def _which(version: str | None) -> str:
    return "" if version is None else query_of([("versionId", version)])


def _goes_on(page: listings.Document) -> bool:
    return page.fields["IsTruncated"] == "true"


def _info(key: str, reply: Reply) -> ObjectInfo:
    headers = reply.headers
    if "last-modified" not in headers:
        raise Damaged(f"The answer about {key} is not S3's: it does not say when the object was written.")
    return ObjectInfo(
        name=key,
        version=headers.get("x-amz-version-id", NULL_VERSION),
        size=int(headers.get("content-length", len(reply.body))),
        modified=moment.parse_http(headers["last-modified"]),
        metadata={name.removeprefix(META): value for name, value in headers.items() if name.startswith(META)},
        tag=headers.get("etag", ""),
    )


def _said(reply: Reply) -> ErrorAnswer:
    """Returns the contents of an error answer; its status if it has no body, or one that is not XML."""
    try:
        fields = listings.read(reply.body).fields
    except expat.ExpatError:
        fields = {}
    return ErrorAnswer(
        code=fields.get("Code") or str(reply.status),
        message=fields.get("Message", ""),
        status=reply.status,
        headers=reply.headers,
        argument=fields.get("ArgumentName", ""),
        region=fields.get("Region", ""),
    )
