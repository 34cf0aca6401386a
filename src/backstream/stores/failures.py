"""What botocore raises for S3, in our own error tree: the one place that knows S3's error codes.

Each error names the operation and the object; its hint is the operator's next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from botocore import exceptions as aws

from backstream.errors import AccessDenied, AlreadyExists, Failed, MissingBucket, MissingObject, Unavailable

BotoError = aws.ClientError | aws.BotoCoreError
BOTO_ERRORS = (aws.ClientError, aws.BotoCoreError)


class TryAgain(Unavailable):
    """The client's own retries do not cover this: whoever asked may do so again at once."""


class Kind(msgspec.Struct, frozen=True):
    """One of our errors, and the next step it suggests."""

    error: type[Failed]
    hint: str


DENIED = Kind(
    AccessDenied,
    "Check that the credentials are those meant (aws sts get-caller-identity) and that they, the bucket's policy and its KMS key "
    "allow this. Without s3:ListBucket, S3 also answers so for objects that do not exist.",
)
UNKNOWN = Kind(AccessDenied, "These credentials are wrong or of another account: check AWS_ACCESS_KEY_ID or the profile.")
EXPIRED = Kind(AccessDenied, "The credentials have expired: renew them (aws sso login) and run it again.")
UNNAMED = Kind(AccessDenied, "Give credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role.")
SKEWED = Kind(AccessDenied, "This machine's clock is wrong by more than 15 minutes: set it.")
NO_BUCKET = Kind(MissingBucket, "Check the bucket's name and account, or make it: `backstream init TABLE --create-bucket`.")
TAKEN = Kind(AlreadyExists, "Bucket names are shared by all of AWS, and this one is somebody else's: choose another.")
NO_OBJECT = Kind(MissingObject, "")
ELSEWHERE = Kind(Failed, "The bucket is in another region: set AWS_REGION{region}.")
BUSY = Kind(Unavailable, "S3 asked to slow down, after retries: try again, or with fewer writers at once.")
UNWELL = Kind(Unavailable, "S3 did not answer well, after retries: try again later.")
CONTENDED = Kind(TryAgain, "Another writer was at the same object at the same time: try again.")
UNREACHED = Kind(Unavailable, "No answer, after retries: check the network, AWS_REGION and AWS_ENDPOINT_URL_S3.")
BROKEN_OFF = Kind(TryAgain, "The connection broke while the object was read, every time: try again later.")
THERE = Kind(AlreadyExists, "")
OTHER = Kind(Failed, "")

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; bare numbers are what HEAD gives, which has no body.
OF_CODE = {
    **dict.fromkeys(("403", "AccessDenied", "AllAccessDisabled", "AccountProblem"), DENIED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "NotSignedUp"), UNKNOWN),
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), EXPIRED),
    "RequestTimeTooSkewed": SKEWED,
    "NoSuchBucket": NO_BUCKET,
    **dict.fromkeys(("404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"), NO_OBJECT),
    **dict.fromkeys(("301", "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"), ELSEWHERE),
    **dict.fromkeys(("SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "503"), BUSY),
    **dict.fromkeys(("InternalError", "RequestTimeout", "ServiceUnavailable"), UNWELL),
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted"), CONTENDED),
    **dict.fromkeys(("412", "PreconditionFailed"), THERE),
    "BucketAlreadyExists": TAKEN,
}

# What botocore raises before there is an answer, or while its body is read.
OF_CLASS: tuple[tuple[type[Exception], Kind], ...] = (
    (aws.NoCredentialsError, UNNAMED),
    (aws.PartialCredentialsError, UNNAMED),
    (aws.CredentialRetrievalError, UNNAMED),
    (aws.ProfileNotFound, UNNAMED),
    (aws.SSOError, EXPIRED),
    (aws.TokenRetrievalError, EXPIRED),
    (aws.ResponseStreamingError, BROKEN_OFF),
    (aws.IncompleteReadError, BROKEN_OFF),
    (aws.FlexibleChecksumError, BROKEN_OFF),
    (aws.ConnectionError, UNREACHED),
    (aws.HTTPClientError, UNREACHED),
)


def named(error: BotoError, operation: str, subject: str) -> Failed:
    """Our error for botocore's; to be raised from it. `subject`: what the operation was about (`s3://bucket/name`)."""
    if not isinstance(error, aws.ClientError):
        kind = next((kind for cls, kind in OF_CLASS if isinstance(error, cls)), OTHER)
        return kind.error(f"{operation} of {subject} failed: {error}", hint=kind.hint)
    response: Mapping[str, Any] = error.response
    kind = _of_answer(response)
    message = f"{operation} of {subject} failed: {code(error)}: {response['Error'].get('Message') or 'no message'}"
    if kind is NO_OBJECT:
        return MissingObject(message, marker=_headers(response).get("x-amz-delete-marker") == "true")
    return kind.error(message, hint=kind.hint.replace("{region}", _region(response)))


def code(error: aws.ClientError) -> str:
    """S3's code for the error; for a HEAD, the HTTP status in digits."""
    return str(error.response["Error"].get("Code", ""))


def _of_answer(response: Mapping[str, Any]) -> Kind:
    if kind := OF_CODE.get(response["Error"].get("Code", "")):
        return kind
    if response["Error"].get("ArgumentName") == "versionId" or "version id" in response["Error"].get("Message", "").lower():
        return NO_OBJECT  # 400 InvalidArgument: not a version id at all, so there is no such version
    if "x-amz-bucket-region" in _headers(response) and response["Error"].get("Code") == "400":
        return ELSEWHERE  # how HEAD says that the signature is for another region
    return UNWELL if response["ResponseMetadata"].get("HTTPStatusCode", 0) >= 500 else OTHER


def _region(response: Mapping[str, Any]) -> str:
    """` to eu-west-1`, if the answer says where the bucket is."""
    region = _headers(response).get("x-amz-bucket-region") or response["Error"].get("Region")
    return f" to {region}" if region else ""


def _headers(response: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = response["ResponseMetadata"].get("HTTPHeaders", {})
    return headers
