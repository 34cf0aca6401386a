"""Estimates the cost of a vault's requests by AWS's list prices, for choosing a layout. It is not a bill.

Storage is left out: both layouts keep every image once, and only the requests differ. So are KMS, transfer and Lambda's own time.
"""

from __future__ import annotations

import msgspec

AS_OF = "2026-11"
REGION = "us-east-1"
PUT = 5.00e-6  # dollars a request, LIST too, S3 Standard: https://aws.amazon.com/s3/pricing/
GET = 0.40e-6  # HEAD too; DELETE is free
WRITE_UNIT = 0.625e-6  # on-demand, 1 KB of an item: https://aws.amazon.com/dynamodb/pricing/on-demand/
LISTED = 1_000  # objects that one LIST gives at most
USUAL_BATCH = 100  # an event source mapping's default: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
MILLION = 1_000_000
STORED = 0.023  # dollars a month for each GB, S3 Standard, the first 50 TB
GIGABYTE = 1 << 30
MONTH = 30 * 86_400  # seconds


class Cost(msgspec.Struct, frozen=True):
    """One layout's requests to S3, in dollars: for a million changes captured, and for a million rows restored once from as many.

    A restore that writes to a table pays DynamoDB, too: `WRITE_UNIT` for each KB of each row, whatever the layout.
    """

    layout: str
    capture: float
    restore: float


def monthly(layout: str, changes_a_second: float, log_bytes: int, changes_per_segment: float) -> float:
    """Returns the dollars a month of capturing at this rate, and of storing the log as it is now.

    Row objects' own storage, DynamoDB and Lambda are not in it.
    """
    capture = next(each.capture for each in costs(changes_per_segment) if each.layout == layout)
    return round(changes_a_second * MONTH / MILLION * capture + log_bytes / GIGABYTE * STORED, 4)


def costs(changes_per_segment: float) -> list[Cost]:
    """Returns the costs of the rows layout and of the log layout, for this many changes per segment on average (at least 1)."""
    segments = MILLION / max(1.0, changes_per_segment)
    log = segments * PUT
    reading = segments * GET + segments / LISTED * PUT
    rows = MILLION * GET + MILLION / LISTED * PUT
    return [
        # One PUT per change, and one HEAD if the writer does not know yet what its object holds: in Lambda nearly always.
        Cost("rows", capture=round(MILLION * (PUT + GET) + log, 6), restore=round(rows + reading, 6)),
        Cost("log", capture=round(log, 6), restore=round(reading, 6)),
    ]
