"""What is wrong before Spark is begun is said, with the next step: no pyspark, no Java, no master. Nothing of Spark is needed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from backstream.apps.cli.main import call
from backstream.apps.engines import EngineKind, choice_of
from backstream.apps.spark_vault import settings_of
from backstream.clock import SystemClock
from backstream.engine.spark import faults, java, shipped
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.engine import SparkEngine
from backstream.errors import BackstreamError, Failed, UsageError
from backstream.vault.table_vault import TableVault
from kit.lived import lived
from kit.scene import Scene


def state_on(master: str | None) -> None:
    stage, seconds = lived()

    def opener(_: TableVault) -> Callable[[], TableVault]:
        return stage.vault

    with SparkEngine(Cluster(master, SystemClock()), opener).state(stage.vault(), seconds[-1]):
        pytest.fail("there is no cluster")


@pytest.fixture
def with_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pyspark that is asked for its version and no more."""
    for variable in ("SPARK_REMOTE", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(variable, raising=False)
    made = ModuleType("pyspark")
    vars(made).update(
        __version__="4.3.0", SparkConf=lambda **_: ModuleType("conf"), SparkContext=type("C", (), {"_active_spark_context": None})
    )
    monkeypatch.setitem(sys.modules, "pyspark", made)


def test_without_pyspark_the_command_names_what_to_install(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    scene.create()
    scene.init()
    scene.backup().backfill()
    path = scene.folder / "file"
    ran = scene.call(
        "restore", scene.table, "--at", "now", "--to-file", str(path), "--engine", "spark", "--master", "spark://127.0.0.1:7077"
    )
    assert ran.code == 2
    assert "pip install 'backstream[spark]'" in ran.err
    assert not path.exists()


@pytest.mark.usefixtures("with_pyspark")
@pytest.mark.parametrize(
    ("master", "kind", "said"),
    [
        (None, UsageError, "--master spark://host:7077"),
        ("sc://host:15002", UsageError, "has no RDDs"),
        ("http://host:8080", UsageError, "no Spark master: 'http://host:8080'"),
        ("spark://host:port", UsageError, "no Spark master"),
        ("spark://127.0.0.1:1", Failed, "no Spark master answers at spark://127.0.0.1:1"),
    ],
)
def test_a_master_that_cannot_be(master: str | None, kind: type[BackstreamError], said: str) -> None:
    with pytest.raises(kind) as raised:
        state_on(master)
    assert said in str(raised.value)
    assert raised.value.hint


@pytest.mark.usefixtures("with_pyspark")
@pytest.mark.parametrize("version", [None, "11.0.2", "1.8.0_402"])
def test_java_that_is_missing_or_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if version is not None:
        program = tmp_path / "java"
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(Failed) as raised:
        state_on(f"spark://127.0.0.1:{listening.getsockname()[1]}")
    assert "needs Java" in raised.value.message
    assert "Install Java 17" in raised.value.hint


def test_spark_3_runs_on_java_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java.check_java(3)
    with pytest.raises(Failed):
        java.check_java(4)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in driver: 3.11",
            "the executors' Python is 3.9",
        ),
        ("ModuleNotFoundError: No module named 'msgspec'", "lacks msgspec"),
        ('java.io.IOException: Cannot run program "/opt/python": error=2', "no Python at /opt/python"),
        ("java.io.InvalidClassException: org.apache.spark; local class incompatible", "another version"),
        (
            "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext",
            "has ended the application of Spark 4.3.0",
        ),
        ("java.lang.OutOfMemoryError: Java heap space", "out of memory"),
        ("org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 failed", "Job aborted due to stage failure"),
    ],
)
def test_what_spark_says_is_told_with_a_next_step(said: str, told: str) -> None:
    found = faults.explained(RuntimeError(said), "4.3.0")
    assert told in found.message
    assert found.hint


def test_a_cluster_of_another_version_ends_the_application() -> None:
    """As Spark 3.5.9 says it, from a cluster of 4.3.0."""
    said = 'NullPointerException: Cannot invoke "org.apache.spark.SparkEnv.driverTmpDir()" because SparkEnv.get() is null'
    found = faults.not_begun(RuntimeError(said), "3.5.9")
    assert "the application of Spark 3.5.9" in found.message
    assert "another version of Spark" in found.hint


def test_a_master_goes_with_spark_only() -> None:
    with pytest.raises(UsageError, match="--master"):
        choice_of(EngineKind.LOCAL, "spark://host:7077")
    with pytest.raises(UsageError, match="no such engine"):
        choice_of("flink", None)


def test_no_secret_goes_to_executors() -> None:
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "BACKSTREAM_SIGN")
    told = {"AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}
    assert dict(settings_of({**dict.fromkeys(secrets, "secret"), **told})) == told


def test_the_zip_of_the_package_is_the_same_every_time(tmp_path: Path) -> None:
    some, other = shipped.write(tmp_path / "a/backstream.zip"), shipped.write(tmp_path / "b.zip")
    assert some.read_bytes() == other.read_bytes()
    assert b"backstream/engine/spark/tasks.py" in some.read_bytes()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["changes", "flights", "--from", "1h ago"], "--engine spark"),
        (["export", "flights", "--changes", "--from", "1h ago", "--to", "file:///tmp/none"], "the order of time"),
        (["export", "flights", "--at", "now", "--format", "iceberg", "--to", "file:///tmp/none"], "one commit"),
        (["export", "flights", "--follow", "--format", "iceberg", "--to", "file:///tmp/none"], "one commit"),
    ],
    ids=["a list", "changes", "a state in iceberg", "changes in iceberg"],
)
def test_what_a_cluster_does_not_do_is_said_with_the_reason(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([*words, "--vault", "file:///nowhere", "--engine", "spark", "--master", "local[1]"]) == 2
    said = capsys.readouterr().err
    assert "--engine spark" in said
    assert why in " ".join(said.split())
