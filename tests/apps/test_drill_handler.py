"""The scheduled drill's Lambda handler, in a process of its own as Lambda starts it, on real servers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.apps import aws_drill
from backstream.errors import Failed, UsageError
from kit.images import image
from kit.proxy import FaultProxy, delay
from kit.scene import Scene, next_second

ROWS = 30
SECRET = "4111-1111"  # noqa: S105 - not one
TELLTALE = "row-of-a-customer"

# What Lambda's runtime does: find the handler by its name, give it an event and a context, print what it raises, and answer.
RUNTIME = """
import json, sys, threading, time
from backstream.apps.aws_drill import handler
end = time.monotonic() + float(sys.argv[2])
class Context:
    def get_remaining_time_in_millis(self): return int((end - time.monotonic()) * 1000)
try:
    answer = handler(json.loads(sys.argv[1]), Context())
except Exception as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
sys.stderr.write(json.dumps({"answer": answer, "modules": sorted(sys.modules)}))
"""


class Invoked:
    """An invocation's end: its exit code, the lines of its log, what it answered or raised."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.said = done.stderr
        self.log = done.stdout

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of its one line in the embedded metric format."""
        (line,) = (line for line in self.lines if "_aws" in line)
        names = [each["Name"] for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
        return {name: line[name] for name in names}

    @property
    def account(self) -> dict[str, Any]:
        """Its structured line."""
        (line,) = (line for line in self.lines if "_aws" not in line)
        return dict(line)


def invoke(scene: Scene, event: object, seconds: float = 60.0) -> Invoked:
    environment = {
        **scene.environment,
        "BACKSTREAM_VAULT": scene.url,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_FUNCTION_NAME": "drill",
    }
    words = [sys.executable, "-c", RUNTIME, json.dumps(event), str(seconds)]
    return Invoked(subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, timeout=280, check=False))


@pytest.fixture
def sound(scene: Scene) -> Scene:
    """A table of some rows, all of them in the vault, and proven to be."""
    scene.create()
    scene.init()
    scene.put(*(image(TELLTALE, number, v={"S": SECRET}) for number in range(ROWS)))
    next_second()
    scene.tail()
    return scene


@pytest.fixture
def slow(sound: Scene) -> Iterator[FaultProxy]:
    """Between the handler and DynamoDB."""
    with FaultProxy(sound.aws.endpoint("dynamodb")) as proxy:
        sound.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        yield proxy


def tables(scene: Scene) -> list[str]:
    names = scene.aws.client("dynamodb").get_paginator("list_tables").paginate().search("TableNames")
    return sorted(name for name in names if name.startswith(scene.table))


def test_a_drill_that_passes(sound: Scene) -> None:
    done = invoke(sound, {"table": sound.table, "rpo": "30m", "rto": 7200, "patience": 0.5})
    assert done.code == 0, done.said
    told = json.loads(done.said)
    answer = told["answer"]
    assert (answer["passed"], answer["rows"], answer["matched"], answer["differences"]) == (True, ROWS, ROWS, 0)
    assert answer["objectives"] == {"rpo_seconds": 1800, "rto_seconds": 7200}
    assert done.metrics["DrillPassed"] == 1
    assert done.metrics["DrillRows"] == ROWS
    assert (done.account["table"], done.account["passed"], done.account["drill"]) == (sound.table, True, answer["id"])
    assert tables(sound) == [sound.table]
    assert [each.id for each in sound.vault().drills.newest(5)] == [answer["id"]], "the vault keeps the record"
    assert not {"click", "rich", "boto3", "multiprocessing"} & set(told["modules"])


def test_a_drill_that_fails_fails_the_invocation_and_tells_of_no_item(sound: Scene) -> None:
    s3 = sound.aws.client("s3")
    versions = s3.list_object_versions(Bucket=sound.bucket, Prefix=f"backups/{sound.table}/")["Versions"]
    s3.delete_object(Bucket=sound.bucket, Key=versions[0]["Key"], VersionId=versions[0]["VersionId"])
    done = invoke(sound, {"table": sound.table, "patience": 0.5})
    assert done.code == 1
    assert done.said.startswith("DifferencesFound: the drill of ")
    assert done.metrics["DrillPassed"] == 0
    assert done.metrics["DrillDifferences"] == 1
    assert (done.account["passed"], done.account["differences"], done.account["stopped"]) == (False, 1, False)
    (record,) = sound.vault().drills.newest(5)
    assert (record.id, record.passed) == (done.account["drill"], False)
    assert record.id in done.said
    assert TELLTALE not in done.log + done.said
    assert SECRET not in done.log + done.said
    assert tables(sound) == [sound.table]


@pytest.mark.soak
def test_an_objective_that_is_missed_fails_it(sound: Scene) -> None:
    next_second()
    done = invoke(sound, {"table": sound.table, "rpo": 0, "patience": 0.5})
    assert (done.code, done.metrics["DrillPassed"]) == (1, 0)
    assert "and the objective is 0 s" in done.said


@pytest.mark.parametrize(
    "operation",
    ["BatchWriteItem", pytest.param("CreateTable", marks=pytest.mark.soak), pytest.param("Scan", marks=pytest.mark.soak)],
)
def test_one_that_cannot_end_in_time_cleans_up_and_reports(sound: Scene, slow: FaultProxy, operation: str) -> None:
    slow.on(delay(8.0), operation=operation)
    done = invoke(sound, {"table": sound.table, "patience": 0.5}, seconds=8.0)
    assert done.code == 1
    assert done.said.startswith("Failed: the drill of ")
    assert "its time was up" in str(sound.vault().drills.newest(1)[0].error)
    assert done.metrics["DrillPassed"] == 0
    assert (done.account["passed"], done.account["stopped"]) == (False, True)
    assert tables(sound) == [sound.table], "the scratch table is gone"


def test_one_that_is_refused_says_so(scene: Scene) -> None:
    done = invoke(scene, {"table": scene.table})
    assert done.code == 1
    assert done.said.startswith("NotFound: the vault ")
    assert (done.metrics["DrillPassed"], done.account["error"]) == (0, "NotFound")
    assert f"backstream init {scene.table}" in done.account["hint"]


@pytest.mark.parametrize(
    ("event", "word"),
    [
        ({}, "needs one of `table`, `tables` and `group`"),
        ({"tabel": "flights"}, "unknown field `tabel`"),
        ({"table": "flights", "keep": True}, "unknown field `keep`"),
        ({"table": 5}, "Expected `str | null`"),
        ({"table": "flights", "sample": "many"}, "Expected `int`"),
        ({"table": "flights", "pick": "oldest"}, "oldest"),
        ({"Records": []}, "unknown field `Records`"),
        ([], "Expected `object`"),
        (None, "Expected `object`"),
    ],
)
def test_an_event_that_is_none(event: Any, word: str) -> None:
    with pytest.raises(UsageError, match="not the event of a drill") as raised:
        aws_drill.handler(event, None)
    assert word in raised.value.message
    assert "table, tables, group, at, pick, rpo" in raised.value.hint


@pytest.mark.parametrize("words", [{"rpo": "soon"}, {"table": "no/table"}])
def test_words_that_mean_nothing(scene: Scene, words: dict[str, Any]) -> None:
    done = invoke(scene, {"table": scene.table, **words})
    assert done.code == 1
    assert done.said.startswith("UsageError: ")
    assert done.metrics["DrillPassed"] == 0


def test_without_a_vault(scene: Scene) -> None:
    scene.url = ""
    done = invoke(scene, {"table": scene.table})
    assert done.said.startswith("UsageError: no vault is given")
    assert Failed.exit_code == done.code


def test_of_several_the_one_that_is_due_is_drilled_and_a_fault_does_not_stop_it(sound: Scene) -> None:
    event = {"tables": [f"{sound.table}-gone", sound.table], "due": "24h", "within": "30h", "patience": 0.5}
    first = invoke(sound, event)
    assert first.code == 1
    assert f"drills did not pass: 1 of 2 tables: {sound.table}-gone" in first.said
    assert [(line["table"], line["passed"]) for line in first.lines if "passed" in line] == [
        (f"{sound.table}-gone", False),
        (sound.table, True),
    ]
    (standing,) = (line for line in first.lines if "DrillsFailing" in line)
    assert (standing["DrillsFailing"], standing["DrillsOverdue"]) == (1, 0)
    assert len(sound.vault().drills.newest(5)) == 1
    again = invoke(sound, {**event, "tables": [sound.table]})
    assert again.code == 0, again.said
    assert json.loads(again.said)["answer"] == {}, "it was drilled a moment ago"
