"""What every test may ask for: AWS servers, a fresh bucket, a fresh table name.

One set of servers per pytest process (so per xdist worker), started when the first test asks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

import kit.compiled
import kit.one_loader  # noqa: F401 - each does what it says when it is imported, and comes before all others
from backstream.apps import proven_servers
from kit.aws import Aws, serving
from kit.deployable import built
from kit.scene import Scene

# How long an example takes to make or to run says how busy the machine is, and nothing of the code.
# A test that names no number of examples takes 20 in `make test`, and many in `make soak`.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20)
settings.register_profile("thorough", settings.get_profile("busy"), max_examples=500)
settings.register_profile(
    "mutants",
    settings.get_profile("busy"),
    max_examples=40,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # that one fails is enough
)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """The servers named by the environment (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_DYNAMODB), or embedded ones."""
    with serving() as servers:
        proven_servers.PASSED.add(servers.url)  # tests of the trial itself take it away, or come through a proxy
        yield servers


@pytest.fixture(scope="session")
def lambda_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that is deployed as a function, for the interpreter at hand."""
    return built(tmp_path_factory)


@pytest.fixture
def bucket(aws: Aws) -> str:
    """A new, empty bucket that keeps versions."""
    name = f"backstream-test-{uuid.uuid4().hex[:12]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def table_name() -> str:
    """A table name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def scene(aws: Aws, bucket: str, table_name: str, tmp_path: Path) -> Scene:
    """A bucket, a table's name and the command line; nothing created yet but the bucket."""
    return Scene(aws, bucket, table_name, tmp_path)
