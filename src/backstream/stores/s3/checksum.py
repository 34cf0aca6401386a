"""Tries whether a server refuses a body that its checksum does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from backstream.boto_errors import boto_errors
from backstream.stores.s3 import boto
from backstream.stores.s3.api import Terms
from backstream.stores.s3.failures import named, subject

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client

NAME = "_backstream/~server/checksum"  # no table can have that name
_OF_NOTHING = "AAAAAA=="  # the CRC32 of no bytes at all
_REFUSED = (400,)  # BadDigest, InvalidRequest


def compares(client: S3Client, bucket: str, prefix: str, terms: Terms) -> bool:
    """Returns True if a PutObject with a wrong CRC32 is refused. Otherwise its object is deleted again."""
    key = f"{prefix.strip('/')}/{NAME}".lstrip("/")
    asked = boto.of_bucket(bucket, terms.owner(), terms.settings(key))
    demanded = boto.parameters_of(terms.settings(key).of_put(key))
    try:
        client.put_object(**asked, **demanded, Key=key, Body=b"damaged", ChecksumCRC32=_OF_NOTHING)
        client.delete_object(**asked, Key=key)
    except boto_errors() as error:
        if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] in _REFUSED:
            return True
        raise named(error, "PutObject", subject(bucket, key)) from error
    return False
