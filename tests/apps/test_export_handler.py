"""The scheduled export's handler on real servers, and its role: it may do what is done, and delete nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import pytest

from backstream.apps import aws_export
from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.apps.lambdas.export_settings import CATALOG_VARIABLE, HANDLER, TO_VARIABLE
from backstream.apps.verbs.tabular.lakes import Lake
from backstream.errors import Failed, UsageError
from backstream.operations.export.iceberg.catalogs import open_catalog
from kit import hcl, templates
from kit.clock import ManualClock
from kit.deployments import PROFILE
from kit.recorded import ACCOUNT, REGION, Call, Recorder
from kit.scene import Scene
from kit.stage import Stage

HOUR = 3_600


class Context:
    """Time for a whole run."""

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def recorder(scene: Scene) -> Iterator[Recorder]:
    """Everything that the function asks for comes by it."""
    with Recorder(scene.aws.url) as recording:
        named = {name: value for name, value in scene.environment.items() if not name.startswith("AWS_ENDPOINT")}
        lake = {TO_VARIABLE: f"s3://{scene.bucket}/lake", CATALOG_VARIABLE: "glue"}
        words = {**named, "AWS_ENDPOINT_URL": recording.url, "BACKSTREAM_VAULT": scene.url, **lake}
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
        with patch.dict(os.environ, {**plain, **words}, clear=True):
            yield recording


def settled(scene: Scene, table: str = "") -> Stage:
    """Three changes of long ago, and hours that a tail vouches for."""
    stage = Stage(ManualClock(), store=scene.store(), table=table or scene.table)
    stage.put([1, 2, 3])
    stage.clock.sleep(2 * HOUR)
    stage.follow()
    return stage


def rows(scene: Scene) -> int:
    lake = Lake(os.environ[TO_VARIABLE], "glue")
    table = open_catalog(lake.catalog, lake.warehouse, lake.properties).load_table(lake.named(scene.table, "changes"))
    return len(table.scan(selected_fields=("key",)).to_arrow())


def deployed(scene: Scene, **more: Any) -> dict[str, Any]:
    choices = Choices(
        tables=[scene.table], existing_bucket=scene.bucket, prefix="backups", export=f"s3://{scene.bucket}/lake", **more
    )
    return templates.parse(template(choices))


def allowed(scene: Scene) -> list[Mapping[str, Any]]:
    known = {"VaultBucket": scene.bucket, "VaultPrefix": "backups", "ExportBucket": scene.bucket, "ExportPrefix": "lake"}
    return [*templates.statements(deployed(scene), "ExportRole", known)]


def test_each_run_appends_what_is_new_and_the_role_allows_that_and_no_more(
    scene: Scene, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = settled(scene)
    assert aws_export.handler({"table": scene.table}, Context())[scene.table]["rows"] == 3
    stage.put([4])
    stage.clock.sleep(2 * HOUR)
    stage.follow()
    assert aws_export.handler({"tables": [scene.table]}, Context())[scene.table]["rows"] == 1
    assert aws_export.handler({"table": scene.table}, None)[scene.table]["commits"] == 0
    told = capsys.readouterr().out
    assert [json.loads(line)["rows"] for line in told.splitlines()] == [3, 1, 0]
    assert "number" not in told, "a report names no item"

    policy, calls = allowed(scene), {*recorder.calls}
    assert sorted(each for each in calls if not templates.permitted(policy, each)) == []
    assert {"glue:UpdateTable", "glue:CreateTable", "s3:PutObject"} <= {each.action for each in calls}
    for sid in ("ReadVault", "FindVersions", "NameColumns", "WriteLake", "CommitTables"):
        less = [each for each in policy if each["Sid"] != sid]
        assert not all(templates.permitted(less, each) for each in calls), sid
    vault, glue = f"arn:aws:s3:::{scene.bucket}/backups/_backstream/{scene.table}/", f"arn:aws:glue:{REGION}:{ACCOUNT}:"
    refused = [Call("s3:PutObject", f"{vault}{name}") for name in ("log/x", "gaps/x", "catalog.json")]
    refused += [Call(f"s3:{name}", f"arn:aws:s3:::{scene.bucket}/lake/x") for name in ("DeleteObject", "DeleteObjectVersion")]
    refused += [
        Call("glue:DeleteTable", f"{glue}table/backstream/x"),
        Call("glue:UpdateTable", f"{glue}table/backstream/other_changes"),
    ]
    assert [each for each in refused if templates.permitted(policy, each)] == []
    assert rows(scene) == 4


def test_no_batch_is_begun_near_the_end_and_a_fault_in_one_table_stops_no_other(scene: Scene, recorder: Recorder) -> None:
    class Late(Context):
        def get_remaining_time_in_millis(self) -> int:
            return 0

    settled(scene)
    assert recorder.url
    assert aws_export.handler({"table": scene.table}, Late()) == {}
    with pytest.raises(Failed, match="the export has failed for 1 of 2 tables: nowhere"):
        aws_export.handler({"tables": ["nowhere", scene.table]}, Context())
    assert rows(scene) == 3


def test_of_two_tables_that_would_be_one_iceberg_table_the_second_is_refused(
    scene: Scene, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    other = scene.table.upper()
    settled(scene)
    settled(scene, other)
    assert recorder.url
    assert aws_export.handler({"table": scene.table}, Context())[scene.table]["rows"] == 3
    capsys.readouterr()
    with pytest.raises(Failed, match=f"the export has failed for 1 of 2 tables: {other}"):
        aws_export.handler({"tables": [other, scene.table]}, Context())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    refused = next(each for each in told if each.get("error") == "Refused")
    assert f"table/{scene.table}" in refused["hint"]
    assert "capitals" in refused["hint"]
    assert rows(scene) == 3


@pytest.mark.parametrize("event", [{}, {"table": "a", "tables": ["b"]}, {"table": "a", "since": "now"}, []])
def test_events_that_make_no_sense(event: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TO_VARIABLE, "s3://lake/x")
    with pytest.raises(UsageError, match="not the event of a"):
        aws_export.handler(event, None)


def test_a_function_without_a_place_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TO_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=f"{TO_VARIABLE} is not set"):
        aws_export.handler({"table": "flights"}, None)


# --- the templates ----------------------------------------------------------------------------------------------------------------


def test_both_templates_have_the_image_its_schedule_and_its_role() -> None:
    choices = Choices(tables=["flights", "Order.Items"], export="s3://our-lake/tables", export_schedule="rate(2 hours)")
    parsed = templates.parse(template(choices))
    function = parsed["Resources"]["Export"]["Properties"]
    assert (function["PackageType"], function["ImageConfig"]) == ("Image", {"Command": [HANDLER]})
    assert function["Code"] == {"ImageUri": {"Ref": "ExportImageUri"}}
    assert not {"Handler", "Runtime"} & function.keys()
    assert parsed["Parameters"]["ExportBucket"]["Default"] == "our-lake"
    assert parsed["Resources"]["ExportInvocation"]["Properties"]["MaximumRetryAttempts"] == 0
    schedule = parsed["Resources"]["Exports"]["Properties"]
    assert (schedule["ScheduleExpression"], parsed["Parameters"]["ExportSchedule"]["Default"]) == (
        {"Ref": "ExportSchedule"},
        "rate(2 hours)",
    )
    starts = parsed["Resources"]["ScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"]
    assert {"Fn::GetAtt": ["Export", "Arn"]} in starts
    assert "table/backstream/order_items_changes" in template(choices)
    text = template(choices, TemplateFormat.HCL)
    assert '\n      join("' in text, "as terraform fmt indents it"
    module = hcl.named(hcl.parse(text), "resource")
    made: Any = module["aws_lambda_function", "export"]
    assert (made["package_type"], made["image_uri"]) == ("Image", "${var.export_image_uri}")
    assert HANDLER in str(made["image_config"])
    assert ("aws_scheduler_schedule", "exports") in module
    assert "Export" not in templates.parse(template(Choices(tables=["flights"])))["Resources"]


def test_two_tables_that_would_be_one_iceberg_table_are_refused() -> None:
    shared = "Order.Items and order_items would share the Iceberg table backstream.order_items_changes"
    with pytest.raises(UsageError, match=shared):
        template(Choices(tables=["flights", "Order.Items", "order_items"], export="s3://lake/x"))
    template(Choices(tables=["Order.Items", "order_items"]))


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"export": "lake"}, "not a place for Iceberg tables"),
        ({"export": "s3://lake"}, "not a place for Iceberg tables"),
        ({"replica": "copy"}, "a replica has no vault"),
        ({"signing_profile": PROFILE}, "Lambda checks no signature of images"),
        ({"export_schedule": "now and then"}, "not a schedule"),
        ({"existing_bucket": "lake", "prefix": "x"}, "lies within the vault"),
    ],
)
def test_choices_that_make_no_sense(choices: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        template(Choices(tables=["flights"], **{"export": "s3://lake/x", **choices}))
