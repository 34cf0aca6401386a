"""What stands between commands and servers, where a test of an operation asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.proxy import FaultProxy
from kit.scene import Scene


@pytest.fixture
def dynamodb(scene: Scene) -> Iterator[FaultProxy]:
    """What stands between the commands and DynamoDB."""
    with FaultProxy(scene.aws.endpoint("dynamodb")) as proxy:
        scene.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        yield proxy


@pytest.fixture
def s3(scene: Scene) -> Iterator[FaultProxy]:
    """What stands between the commands and S3."""
    with FaultProxy(scene.aws.endpoint("s3")) as proxy:
        scene.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
        yield proxy
