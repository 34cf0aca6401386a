"""Opens Iceberg catalogs: a SQLite file, REST, Glue, S3 Tables, or one that pyiceberg's own configuration names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    NotInstalledError,
    RESTError,
    ServerError,
    ValidationError,
)
from sqlalchemy.exc import SQLAlchemyError

from backstream import private_files
from backstream.errors import BackstreamError, Failed, Unavailable, UsageError
from backstream.tables.account import SDK_ERRORS

FILE, S3_TABLES = "file://", "arn:aws:s3tables:"


def properties_of(catalog: str | None, warehouse: str) -> tuple[str, dict[str, str]]:
    """Returns pyiceberg's name and properties for a catalog. `warehouse`: the URL below which new tables lie.

    `catalog`: `sqlite:///PATH`, `https://...` (REST), `glue`, the ARN of a bucket of S3 Tables, or a name in pyiceberg's own
    configuration. None: a SQLite file in the warehouse, if that is a folder; else UsageError.
    """
    if catalog is None:
        if not warehouse.startswith(FILE):
            raise UsageError(
                "which catalog?", hint="--catalog glue, sqlite:///PATH, https://..., or the ARN of a bucket of S3 Tables."
            )
        catalog = f"sqlite:///{warehouse.removeprefix(FILE)}/catalog.db"
    if catalog.startswith("sqlite:"):
        return "backstream", {"type": "sql", "uri": catalog, "warehouse": warehouse}
    if catalog.startswith(("http://", "https://")):
        return "backstream", {"type": "rest", "uri": catalog, "warehouse": warehouse}
    if catalog == "glue":
        return "backstream", {"type": "glue", "warehouse": warehouse}
    if catalog.startswith(S3_TABLES):
        return "backstream", _of_s3_tables(catalog)
    return catalog, {}


def _of_s3_tables(arn: str) -> dict[str, str]:
    """Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-tables-integrating-open-source.html (the REST endpoint)."""
    parts = arn.split(":")
    region = parts[3] if len(parts) > 3 else ""
    if not region:
        raise UsageError(f"not the ARN of a bucket of S3 Tables: {arn!r}")
    other = os.environ.get("AWS_ENDPOINT_URL_S3TABLES") or os.environ.get("AWS_ENDPOINT_URL")
    return {
        "type": "rest",
        "uri": f"{(other or f'https://s3tables.{region}.amazonaws.com').rstrip('/')}/iceberg",
        "warehouse": arn,
        "rest.sigv4-enabled": "true",
        "rest.signing-name": "s3tables",
        "rest.signing-region": region,
    }


def open_catalog(catalog: str | None, warehouse: str, more: Mapping[str, str]) -> Catalog:
    """Returns the catalog. `more`: further properties of pyiceberg. Raises UsageError, or Failed if it cannot be opened."""
    name, properties = properties_of(catalog, warehouse)
    if properties.get("type") == "sql":
        _make_folder(properties["uri"])
    with explained(f"the catalog {catalog or properties['uri']}"):
        try:
            return load_catalog(name, **{**properties, **more})
        except ValueError as error:  # no such name in its configuration
            raise UsageError(f"the catalog {catalog} cannot be opened: {error}") from error
        except NotInstalledError as error:
            raise UsageError(
                f"the catalog {catalog} needs a package that is not installed: {_short(error)}",
                hint="pip install 'backstream[iceberg]'",
            ) from error


def _make_folder(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    try:
        private_files.make_folder(path.parent)
        with suppress(FileExistsError):  # SQLite takes an empty file for a new catalog
            private_files.create(path).close()
    except OSError as error:
        raise Failed(f"{path.parent} cannot be made: {error.strerror}") from error


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Context in which errors of pyiceberg, of its catalogs and its files become ours. `what`: what is being done."""
    try:
        yield
    except (BackstreamError, NoSuchTableError, CommitFailedException):
        raise
    except (ServerError, ConnectionError) as error:
        raise Unavailable(f"{what}: {_short(error)}", hint="Run it again: it goes on from the last snapshot.") from error
    except (RESTError, ValidationError, SQLAlchemyError, *SDK_ERRORS, OSError) as error:
        raise Failed(f"{what}: {_short(error)}", hint="Run it again: it goes on from the last snapshot.") from error


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
