"""Plain http to another machine is reported, once, and never where it stays on this machine."""

from __future__ import annotations

import pytest

from backstream.apps.aws import plain_http
from backstream.apps.verbs.tabular.lakes import Lake
from backstream.model.transport import is_exposed
from backstream.operations.doctor.identity import identity
from backstream.operations.doctor.report import CheckVerdict
from backstream.stores.memory import MemoryStore
from kit.clock import ManualClock
from kit.deployed import Deployed, patient
from kit.scene import Scene


@pytest.mark.parametrize(
    "url",
    [
        "http://minio.example:9000",
        "HTTP://10.0.0.7",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://[2001:db8::1]:80",
        "http://169.254.169.254",
        "http://0.0.0.0:4566",
        "http://[::ffff:10.0.0.7]",
    ],
)
def test_what_leaves_this_machine_in_the_clear_is_exposed(url: str) -> None:
    assert is_exposed(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://minio.example:9000",
        "http://localhost:4566",
        "http://LOCALHOST.",
        "http://s3.localhost:4566",
        "http://127.0.0.1:9000",
        "http://127.8.8.8",
        "http://[::1]:4566",
        "http://[::ffff:127.0.0.1]",
        "file:///vault",
        "http://[",
    ],
)
def test_what_stays_on_this_machine_or_is_encrypted_is_not(url: str) -> None:
    assert not is_exposed(url)


def test_a_command_says_it_once_on_stderr(scene: Scene) -> None:
    scene.create()
    scene.live().enable_stream()
    scene.init()
    url = scene.aws.endpoint("s3").replace("127.0.0.1", "0.0.0.0")  # noqa: S104 - it answers there, too, as another machine would
    exposed = {"AWS_ENDPOINT_URL_S3": url, "AWS_ENDPOINT_URL_DYNAMODB": url}
    for _ in range(2):
        ran = scene.call("verify", scene.table, "--patience", "0", "--json", environment=exposed)
        assert ran.code == 0, ran.err
        assert ran.err.count(f"warning: requests to {url} are not encrypted") == 1
        assert ran.json()["different"] == 0
    assert "not encrypted" not in scene.call("status", scene.table).err


def test_a_lake_s_catalog_and_endpoint_are_told_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain_http.begin()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    Lake("s3://lake/tables", catalog="http://catalog.example.org/api")
    Lake("s3://lake/tables", catalog="https://catalog.example.org/api")
    Lake("s3://lake/tables", properties={"s3.endpoint": "http://s3.example.org"})
    told = capsys.readouterr().err.splitlines()
    assert [each.split(" are not encrypted")[0] for each in told] == [
        "warning: requests to http://catalog.example.org/api",
        "warning: requests to http://s3.example.org",
    ]


def test_doctor_warns() -> None:
    clock = ManualClock()
    found = identity(patient(Deployed(), clock, MemoryStore(clock), endpoints=lambda: {"S3": "http://minio.example"}))
    (endpoints,) = [each for each in found if each.name == "endpoints"]
    assert endpoints.verdict is CheckVerdict.WARNING
    assert "requests to S3 are not encrypted" in endpoints.found
    fine = identity(patient(Deployed(), clock, MemoryStore(clock)))
    assert [each.verdict for each in fine if each.name == "endpoints"] == [CheckVerdict.OK]
