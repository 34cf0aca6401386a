"""One Spark cluster for all tests of a session. Its workers have credentials in a file, which the driver does not give them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.aws import Aws
from kit.spark_cluster import SparkCluster, environment_of


@pytest.fixture(scope="session")
def credentials(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executors' credentials."""
    path = tmp_path_factory.mktemp("executors") / "credentials"
    keys = [f"{name.lower()} = {aws.environment[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    path.write_text("\n".join(["[default]", *keys, ""]))
    return path


@pytest.fixture(scope="session")
def cluster(credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A master and two workers."""
    before = signal.getsignal(signal.SIGINT)  # pyspark takes it
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "HOME": str(credentials.parent)}
    with SparkCluster(tmp_path_factory.mktemp("spark"), environment) as running, environment_of(running):
        yield running
        _end_application()
    signal.signal(signal.SIGINT, before)


def _end_application() -> None:
    from pyspark import SparkContext  # noqa: PLC0415 - it is not there where these tests are skipped

    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context.stop()
