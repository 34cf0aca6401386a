"""Reads the places in URLs and ARNs, and the limits of objects there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from backstream.errors import UsageError
from backstream.model.values import object_limits

AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class TablePlace(msgspec.Struct, frozen=True):
    """The place of tables. `profile`: from botocore's configuration; `endpoint`: DynamoDB's URL. None: from the environment.

    A named profile takes precedence over the environment's credentials, and its region over the environment's.
    """

    profile: str | None = None
    region: str | None = None
    endpoint: str | None = None


def region_of(arn: str) -> str | None:
    """Returns the region in an ARN; None if it names none."""
    return next(iter(arn.split(":")[3:4]), None) or None


def limit_of(of: Callable[[str, int], int]) -> object_limits.Limit:
    """Returns the limit of objects' sizes. Raises UsageError if the environment's value is invalid."""
    most = object_limits.allowed(os.environ.get(object_limits.VARIABLE, ""))
    return lambda key: of(key, most)


def is_aws(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith(AWS_DOMAINS)


def place_of(url: str) -> Path | tuple[str, str]:
    """Returns the folder, or the bucket and prefix, that a URL names. Raises UsageError if it is neither."""
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        return parts.netloc, parts.path.strip("/")
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return Path(unquote(parts.path))
    raise UsageError(f"neither a bucket nor a folder: {url!r}", hint="Write s3://bucket/prefix or file:///absolute/folder.")
