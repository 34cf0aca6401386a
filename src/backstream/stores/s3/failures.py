"""Turns S3's error answers into the project's error tree: the one place that knows S3's error codes.

Each error names the operation and the object; its hint is the operator's next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from backstream.boto_errors import first_of, is_answer
from backstream.errors import AccessDenied, AlreadyExists, Damaged, Failed, MissingBucket, MissingObject, Unavailable
from backstream.model.values import object_limits

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from backstream.boto_errors import BotoError


class TryAgain(Unavailable):
    """The client's own retries do not cover this: the caller may ask again at once."""


class StoreFailure(msgspec.Struct, frozen=True):
    """An error class of the project, and the next step it suggests."""

    error: type[Failed]
    hint: str


DENIED = StoreFailure(
    AccessDenied,
    "Check that the credentials are those meant (aws sts get-caller-identity) and that they, the bucket's policy and its KMS key "
    "allow this{needs}. Without s3:ListBucket, S3 also answers so for objects that do not exist; and where the bucket belongs to "
    "another account than is expected (BACKSTREAM_BUCKET_OWNER, or what the catalog says).{policy}",
)
# The bucket's policy may also deny what it would allow in another form. By operation; an empty name stands for every other one.
POLICIES = {
    "PutObject": " A bucket's policy may deny unencrypted PUTs, or some storage classes: `backstream init TABLE --sse aws:kms "
    "--kms-key ARN` (or BACKSTREAM_SSE and BACKSTREAM_KMS_KEY), --log-class, --rows-class.",
    "": " A bucket whose requester pays is read with BACKSTREAM_REQUEST_PAYER=requester.",
}
UNKNOWN = StoreFailure(AccessDenied, "These credentials are wrong or of another account: check AWS_ACCESS_KEY_ID or the profile.")
EXPIRED = StoreFailure(AccessDenied, "The credentials have expired: renew them (aws sso login) and run it again.")
UNNAMED = StoreFailure(AccessDenied, "Give credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role.")
SKEWED = StoreFailure(AccessDenied, "This machine's clock is wrong by more than 15 minutes: set it.")
NO_BUCKET = StoreFailure(MissingBucket, "Check the bucket's name and account, or make it: `backstream init TABLE --create-bucket`.")
TAKEN = StoreFailure(AlreadyExists, "Bucket names are shared by all of AWS, and this one is somebody else's: choose another.")
NO_OBJECT = StoreFailure(MissingObject, "")
ELSEWHERE = StoreFailure(Failed, "The bucket is in another region: set AWS_REGION{region}.")
BUSY = StoreFailure(Unavailable, "S3 asked to slow down, after retries: try again, or with fewer writers at once.")
UNWELL = StoreFailure(Unavailable, "S3 did not answer well, after retries: try again later.")
CONTENDED = StoreFailure(TryAgain, "Another writer was at the same object at the same time: try again.")
UNREACHED = StoreFailure(Unavailable, "No answer, after retries: check the network, AWS_REGION and AWS_ENDPOINT_URL_S3.")
BROKEN_OFF = StoreFailure(TryAgain, "The connection broke while the object was read, every time: try again later.")
DISTRUSTED = StoreFailure(Failed, "Check AWS_ENDPOINT_URL_S3 and the certificates that are trusted here (AWS_CA_BUNDLE).")
THERE = StoreFailure(AlreadyExists, "")
UNKNOWN_CALL = StoreFailure(Failed, "This server does not know the request. A vault needs a server that keeps versions.")
SHORTER = StoreFailure(Damaged, "The object is shorter than another one says.")
OTHER = StoreFailure(Failed, "")

# IAM knows these requests on the bucket itself by another name.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
LISTINGS = {"ListObjectsV2": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions"}

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. Bare numbers come from HEAD, whose answers have no body.
OF_CODE = {
    **dict.fromkeys(("403", "AccessDenied", "AllAccessDisabled", "AccountProblem"), DENIED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "NotSignedUp"), UNKNOWN),
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), EXPIRED),
    "RequestTimeTooSkewed": SKEWED,
    **dict.fromkeys(("416", "InvalidRange"), SHORTER),
    **dict.fromkeys(("501", "NotImplemented"), OTHER),  # it will not know tomorrow either
    "NoSuchBucket": NO_BUCKET,
    **dict.fromkeys(("404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"), NO_OBJECT),
    **dict.fromkeys(("301", "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"), ELSEWHERE),
    **dict.fromkeys(("SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "503"), BUSY),
    **dict.fromkeys(("InternalError", "RequestTimeout", "ServiceUnavailable"), UNWELL),
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted"), CONTENDED),
    **dict.fromkeys(("412", "PreconditionFailed"), THERE),
    "BucketAlreadyExists": TAKEN,
    **dict.fromkeys(("501", "NotImplemented"), UNKNOWN_CALL),
}

# botocore raises these before there is an answer, or while its body is read.
OF_CLASS: tuple[tuple[str, StoreFailure], ...] = (
    ("NoCredentialsError", UNNAMED),
    ("PartialCredentialsError", UNNAMED),
    ("CredentialRetrievalError", UNNAMED),
    ("ProfileNotFound", UNNAMED),
    ("SSOError", EXPIRED),
    ("TokenRetrievalError", EXPIRED),
    ("ResponseStreamingError", BROKEN_OFF),
    ("IncompleteReadError", BROKEN_OFF),
    ("FlexibleChecksumError", BROKEN_OFF),
    ("ConnectionError", UNREACHED),
    ("HTTPClientError", UNREACHED),
)


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The contents of an error answer. `code`: S3's, or for a HEAD, which has no body, the HTTP status in digits."""

    code: str
    message: str
    status: int
    headers: Mapping[str, str]
    argument: str = ""
    region: str = ""


def named(error: BotoError, operation: str, subject: str) -> Failed:
    """Returns the project's error for botocore's; to be raised from it. `subject`: the operation's subject (`s3://bucket/name`)."""
    if is_answer(error):
        return of_answer(_said(cast("ClientError", error).response), operation, subject)
    kind = first_of(error, OF_CLASS, OTHER)
    return kind.error(f"{operation} of {subject} failed: {error}", hint=kind.hint)


def of_answer(said: ErrorAnswer, operation: str, subject: str) -> Failed:
    """Returns the project's error for an answer."""
    kind = _kind(said)
    message = f"{operation} of {subject} failed: {said.code}: {said.message or 'no message'}"
    if kind is NO_OBJECT:
        return MissingObject(message, marker=said.headers.get("x-amz-delete-marker") == "true")
    region = said.headers.get("x-amz-bucket-region") or said.region
    needs = f": {LISTINGS[operation]} on the bucket" if operation in LISTINGS else ""
    hint = kind.hint.replace("{region}", f" to {region}" if region else "").replace("{needs}", needs)
    hint = hint.replace("{policy}", POLICIES.get(operation, POLICIES[""]))
    return kind.error(message, hint=hint)


def no_answer(why: str, operation: str, subject: str, *, broken: bool, permanent: bool) -> Failed:
    """Returns the project's error if there was no whole answer. See `transport.messages.NoAnswer`."""
    kind = DISTRUSTED if permanent else BROKEN_OFF if broken else UNREACHED
    return kind.error(f"{operation} of {subject} failed: {why}", hint=kind.hint)


def beyond_limit(subject: str) -> Damaged:
    """Returns the error for an object that is larger than its kind may be. It was not read."""
    return Damaged(f"{subject}: it is larger than such an object may be", hint=object_limits.HINT)


def not_a_listing(bucket: str, why: str = "") -> Damaged:
    """Returns the error for a listing page that is another document: it must not pass for an empty one. `why`: its fault."""
    return Damaged(
        f"A listing of s3://{bucket} was answered with something else{why and f': {why}'}.",
        hint="Check AWS_ENDPOINT_URL_S3, and for proxies between here and S3. A server answers so, too, where a name has a control "
        "character and the server does not encode it (encoding-type=url).",
    )


def subject(bucket: str, key: str = "", version: str | None = None) -> str:
    """Returns a description of a request's subject."""
    place = f"s3://{bucket}/{key}" if key else f"s3://{bucket}"
    return f"{place} (version {version})" if version else place


def _said(response: Mapping[str, Any]) -> ErrorAnswer:
    error, metadata = response["Error"], response["ResponseMetadata"]
    return ErrorAnswer(
        code=str(error.get("Code", "")),
        message=error.get("Message") or "",  # Ceph's gateway sends an error without one
        status=metadata.get("HTTPStatusCode", 0),
        headers=metadata.get("HTTPHeaders", {}),
        argument=error.get("ArgumentName", ""),
        region=error.get("Region", ""),
    )


def _kind(said: ErrorAnswer) -> StoreFailure:
    if kind := OF_CODE.get(said.code):
        return kind
    if said.argument == "versionId" or "version id" in said.message.lower():
        return NO_OBJECT  # 400 InvalidArgument: not a version id at all, so there is no such version
    if "x-amz-bucket-region" in said.headers and said.code == "400":
        return ELSEWHERE  # how HEAD says that the signature is for another region
    return UNWELL if said.status >= 500 else OTHER
