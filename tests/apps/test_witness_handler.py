"""The scheduled witness: the command line's, and its Lambda handler, on real servers."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from unittest.mock import patch

import pytest

from backstream.apps import aws_witness
from backstream.apps.aws_lambda import handler as capture
from backstream.apps.verbs.many.many_witnesses import witness_all
from backstream.errors import Failed, NotFound, UsageError
from backstream.model.changes.change import Change
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault import groups
from kit.clock import ManualClock
from kit.images import image
from kit.invocations import Invocation
from kit.records import lambda_record
from kit.scene import Scene, next_second

ROWS = 12
SECRET = "4111-1111"  # noqa: S105 - not one


def changes(scene: Scene) -> tuple[str, list[Change]]:
    """The stream's ARN, and what is in it."""
    arn = scene.live().facts().stream_arn or ""
    stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn)
    found = [change for shard in stream.facts().shards for change in stream.read(shard.id, stream.iterator(shard.id, None)).changes]
    return arn, found


@pytest.fixture
def half(scene: Scene) -> Scene:
    """A function has brought every other change of a table's, and lost the rest without a word."""
    scene.create()
    scene.init()
    scene.put(*(image("row", number, v={"S": SECRET}) for number in range(ROWS)))
    arn, found = changes(scene)
    with patch.dict(os.environ, {**scene.environment, "BACKSTREAM_VAULT": scene.url}):
        assert capture({"Records": [lambda_record(each, arn) for each in found[::2]]}, None) == {"batchItemFailures": []}
    return scene


def invoke(scene: Scene, event: Any) -> dict[str, Any]:
    environment = {**scene.environment, "BACKSTREAM_VAULT": scene.url, "AWS_LAMBDA_FUNCTION_NAME": "the-witness"}
    with patch.dict(os.environ, environment):
        return aws_witness.handler(event, Invocation())


def test_the_command_proves_what_the_function_could_not(half: Scene) -> None:
    before = half.call("status", half.table)
    assert "UNPROVEN" in before.out
    assert f"backstream witness {half.table}" in before.out
    assert half.call("status", half.table, "--json").json()["window_to"] is None
    ran = half.call("witness", half.table, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["checked"], report["missing"], report["gaps"], report["caught_up"]) == (ROWS, ROWS // 2, 0, True)
    while (status := half.call("status", half.table, "--json").json())["window_to"] is None:
        next_second()  # what is proven is some seconds old, and has to be after `init`
        report = half.call("witness", half.table, "--json").json()
    assert (status["watermark"]["by"], status["unproven"]) == ("witness", [])
    assert status["window_to"] == report["proven_to"] == status["watermark"]["second"]
    assert status["captured_by"] == ["lambda", "witness"]
    again = half.call("witness", half.table)
    assert again.code == 0
    assert "0 records of the stream" in again.out
    wrong = half.call("witness", half.table, "--budget", "soon")
    assert (wrong.code, "not a duration" in wrong.err) == (2, True)


def test_time_that_is_up_is_exit_1_and_says_so(half: Scene) -> None:
    ran = half.call("witness", half.table, "--budget", "1s")
    assert (ran.code, "its time was up before it had caught up" in ran.err) in ((1, True), (0, False))
    assert half.call("witness", half.table).code == 0


def test_the_handler_does_the_same_and_tells_its_figures(half: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    answer = invoke(half, {"table": half.table})
    assert (answer["checked"], answer["missing"], answer["caught_up"]) == (ROWS, ROWS // 2, True)
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    (figures,) = [line for line in lines if "_aws" in line]
    assert (figures["Table"], figures["WitnessChecked"], figures["WitnessMissing"], figures["WitnessGaps"]) == (
        half.table,
        12,
        6,
        0,
    )
    assert 0 <= figures["WitnessLag"] < 300
    assert SECRET not in out
    assert half.call("status", half.table, "--json").json()["watermark"]["writer"] == "the-witness"


@pytest.mark.parametrize("event", [{}, {"tables": "x"}, {"table": 3}, [], {"table": "flights", "at": "now"}])
def test_an_event_that_is_none(scene: Scene, event: Any) -> None:
    with pytest.raises(UsageError, match="not the event of a witness"):
        invoke(scene, event)


def test_a_table_that_the_vault_does_not_know_fails(scene: Scene) -> None:
    with pytest.raises(NotFound):
        invoke(scene, {"table": scene.table})


def test_one_command_witnesses_several_and_each_has_its_report(half: Scene) -> None:
    other, gone = f"{half.table}-2", f"{half.table}-3"
    for name in (other, gone):
        half.create(name)
    assert half.call("init", other, gone, "--enable-stream").code == 0
    assert half.call("group", "shop", other, half.table, gone).code == 0
    ran = half.call("witness", "--group", "shop", "--json")
    assert ran.code == 0, ran.err
    assert {each["table"]: each["missing"] for each in ran.json()} == {other: 0, half.table: ROWS // 2, gone: 0}
    half.live(gone).delete()
    half.put(image("row", ROWS))
    ran = half.call("witness", "--group", "shop", "--json")
    told = {each["table"]: each for each in ran.json()}
    assert (ran.code, told[gone]["error"]["kind"]) == (1, "MissingTable"), ran.err
    assert (list(told), told[half.table]["missing"]) == ([other, half.table, gone], 1)
    assert f"error: {gone}: " in ran.err
    ran = half.call("witness", half.table, other, "--budget", "20s")
    assert ran.code == 0, ran.err
    assert ran.out.count("caught up") == 2
    for words, code in ((["--match", "x-*"], 1), (["--all", "--budget", "0s"], 2), ([half.table, "unknown-table"], 1)):
        assert half.call("witness", *words).code == code


def test_tables_that_fail_take_no_time_from_the_others() -> None:
    """However many are broken, the last one is given all of the time that is left."""
    tables, given = [f"table-{number:03}" for number in range(100)], dict[str, float]()

    def run(table: str, seconds: float) -> str:
        given[table] = seconds
        if table != tables[-1]:
            raise NotFound(f"the vault does not know {table}")
        return table

    found, failed = witness_all(tables, run, ManualClock(0.0), 240.0)
    assert (list(found), len(failed)) == ([tables[-1]], 99)
    assert given[tables[-1]] == 240.0


def test_one_invocation_witnesses_several_and_a_fault_in_one_does_not_stop_the_others(
    half: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"{half.table}-gone"
    with (
        pytest.raises(Failed, match=f"proven nothing of 1 of 2 tables: {gone}"),
        patch.dict(os.environ, {"BACKSTREAM_DEPLOYMENT": "kept"}),
    ):
        invoke(half, {"tables": [gone, half.table]})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = (line for line in lines if "missing" in line)
    assert (found["table"], found["missing"]) == (half.table, ROWS // 2)
    assert [line["error"] for line in lines if line.get("table") == gone] == ["NotFound"]
    metrics = {name: line for line in lines if "_aws" in line for name in line}
    assert metrics["WitnessTablesLeft"]["WitnessTablesLeft"] == 1
    assert metrics["WitnessTablesLeft"]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Deployment"]]
    assert metrics["WitnessMissing"]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Table"], ["Deployment"]]
    answer = invoke(half, {"tables": [half.table]})
    assert answer[half.table]["missing"] == 0
    for wrong in ({"table": half.table, "tables": [half.table]}, {"table": half.table, "group": "shop"}):
        with pytest.raises(UsageError):
            invoke(half, wrong)
    with pytest.raises(NotFound, match="knows no group 'shop'"):
        invoke(half, {"group": "shop"})
    for tables in ([half.table], [half.table, gone]):  # the group as it is then: what joins it is witnessed, too
        groups.save(half.store(), "shop", tables, {}, time.time())
        if gone in tables:
            with pytest.raises(Failed, match=f"proven nothing of 1 of 2 tables: {gone}"):
                invoke(half, {"group": "shop"})
        else:
            assert invoke(half, {"group": "shop"}).keys() == {half.table}
