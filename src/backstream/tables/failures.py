"""Turns DynamoDB's error answers into the project's error tree: the one place that knows its error codes.

Each error names the operation and its subject; its hint is the operator's next step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from backstream.boto_errors import first_of, is_answer
from backstream.errors import (
    AccessDenied,
    ConditionNotMet,
    Failed,
    InvalidPosition,
    IteratorExpired,
    MissingTable,
    NotFound,
    RecordsTrimmed,
    Refused,
    StillChanging,
    TargetNotEmpty,
    Throttled,
    Unavailable,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from backstream.boto_errors import BotoError


class ServerFault(Unavailable):
    """The service answered with a fault of its own (5xx), after retries. A server that does not know a call may do so, too."""


class TableFailure(msgspec.Struct, frozen=True):
    """An error class of the project, and the next step it suggests."""

    error: type[Failed | Refused]
    hint: str


DENIED = TableFailure(
    AccessDenied, "Check the credentials (profile, role, expiry, the machine's clock) and that they allow this operation."
)
BUSY = TableFailure(Throttled, "The service asked to slow down, after retries: try again, or allow the table more capacity.")
UNWELL = TableFailure(ServerFault, "The service did not answer well, after retries: try again later.")
UNREACHED = TableFailure(
    Unavailable, "No answer, after retries: check the network, the region and the endpoint (AWS_REGION, AWS_ENDPOINT_URL)."
)
NO_TABLE = TableFailure(MissingTable, "Check the table's name, the region and the account.")
NO_STREAM = TableFailure(
    NotFound, "The stream or shard is gone: a stream ends 24 hours after it was disabled. Ask the table for its stream."
)
NO_KINESIS = TableFailure(
    NotFound, "The Kinesis stream or shard is gone, and what it still held: check its name, its region and where the table sends."
)
NO_FUNCTION = TableFailure(NotFound, "Check the function's name, the region and the account.")
NO_POLICY = TableFailure(NotFound, "The table has no resource policy.")
FULL = TableFailure(
    Failed, "The account has as many tables, or tables being made, as it may: delete some, wait, or ask for a higher quota."
)
TAKEN = TableFailure(TargetNotEmpty, "Name a table that does not exist yet.")
NOT_AS_EXPECTED = TableFailure(ConditionNotMet, "Somebody has changed the item.")
CHANGING = TableFailure(StillChanging, "The table is being created or changed: try again when it is ACTIVE.")
EXPIRED = TableFailure(IteratorExpired, "Shard iterators live 15 minutes: ask for a new one.")
TRIMMED = TableFailure(RecordsTrimmed, "A stream keeps 24 hours: changes that nobody read by then are a gap.")
DISTRUSTED = TableFailure(Failed, "Check AWS_ENDPOINT_URL and the certificates that are trusted here (AWS_CA_BUNDLE).")
OTHER = TableFailure(Failed, "")
INVALID = TableFailure(InvalidPosition, "")

FUNCTION_OPERATIONS = ("GetFunctionConfiguration", "GetFunctionConcurrency", "ListEventSourceMappings")
STREAM_OPERATIONS = ("ListStreams", "DescribeStream", "DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords")

# One code means different things in different operations: these are checked first.
OF_OPERATION = {
    ("CreateTable", "ResourceInUseException"): TAKEN,
    ("CreateTable", "LimitExceededException"): FULL,
    ("ImportTable", "ResourceInUseException"): TAKEN,
    ("UpdateTable", "ResourceInUseException"): CHANGING,
    ("DeleteTable", "ResourceInUseException"): CHANGING,
    **{(operation, "ResourceNotFoundException"): NO_FUNCTION for operation in FUNCTION_OPERATIONS},
    ("GetShardIterator", "InvalidArgumentException"): INVALID,
    **{(operation, "ResourceNotFoundException"): NO_STREAM for operation in STREAM_OPERATIONS},
}

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
OF_CODE = {
    "ConditionalCheckFailedException": NOT_AS_EXPECTED,
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        DENIED,
    ),
    **dict.fromkeys(
        (
            "LimitExceededException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
        ),
        BUSY,
    ),
    **dict.fromkeys(("InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException"), UNWELL),
    **dict.fromkeys(("ResourceNotFoundException", "TableNotFoundException"), NO_TABLE),
    **dict.fromkeys(("ConcurrentUpdateException", "ContinuousBackupsUnavailableException", "ResourceInUseException"), CHANGING),
    "PolicyNotFoundException": NO_POLICY,
    "ExpiredIteratorException": EXPIRED,
    "TrimmedDataAccessException": TRIMMED,
}

# botocore raises these before there is an answer.
OF_CLASS: tuple[tuple[str, TableFailure], ...] = (
    ("NoCredentialsError", DENIED),
    ("PartialCredentialsError", DENIED),
    ("CredentialRetrievalError", DENIED),
    ("SSOError", DENIED),
    ("TokenRetrievalError", DENIED),
    ("ConnectionError", UNREACHED),
    ("HTTPClientError", UNREACHED),
)


def named(error: BotoError, operation: str, subject: str) -> Failed | Refused:
    """Returns the project's error for botocore's; to be raised from it. `subject`: the operation's subject (`table orders`)."""
    if is_answer(error):
        response = cast("ClientError", error).response
        said, status = response["Error"], response["ResponseMetadata"].get("HTTPStatusCode", 0)
        return of_answer(said.get("Code", ""), said.get("Message", ""), status, operation, subject)
    kind = first_of(error, OF_CLASS, OTHER)
    return kind.error(f"{operation} of {subject} failed: {error}", hint=kind.hint)


def of_answer(code: str, message: str, status: int, operation: str, subject: str) -> Failed | Refused:
    """Returns the project's error for an answer: its code, its message and its HTTP status."""
    kind = _of_answer(code, operation, status)
    if kind is NO_STREAM and ":kinesis:" in subject:
        kind = NO_KINESIS
    return kind.error(f"{operation} of {subject} failed: {code}: {message or 'no message'}", hint=kind.hint)


def no_answer(why: str, operation: str, subject: str, *, permanent: bool) -> Failed | Refused:
    """Returns the project's error if there was no whole answer. See `transport.messages.NoAnswer`."""
    kind = DISTRUSTED if permanent else UNREACHED
    return kind.error(f"{operation} of {subject} failed: {why}", hint=kind.hint)


def _of_answer(code: str, operation: str, status: int) -> TableFailure:
    if kind := OF_OPERATION.get((operation, code)) or OF_CODE.get(code):
        return kind
    return UNWELL if status >= 500 else OTHER
