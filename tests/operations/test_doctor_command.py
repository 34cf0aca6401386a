"""`backstream doctor` on real servers: a sound deployment is all ok; what is spoilt rings, and its own command mends it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from awscli.clidriver import create_clidriver  # type: ignore[import-untyped] # a program, without types

from backstream.model import moment
from kit import drills
from kit.aws import Aws
from kit.images import image
from kit.proxy import FaultProxy, answer, rewrite
from kit.reverse_proxy import Request, Response
from kit.scene import QUICK, Ran, Scene, next_second
from kit.stage import wait_for

METRICS = (
    "IteratorAge",
    "Errors",
    "Throttles",
    "DroppedEventCount",
    "OnFailureDestinationDeliveredEventCount",
    "DestinationDeliveryFailures",
)
DENIED = answer(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")


class Deployment(Scene):
    """A scene with all that a sound deployment has. `code`: the function's zip."""

    code: Path

    @property
    def function(self) -> str:
        return f"keep-{self.table}"

    def deploy(self) -> None:
        """The table, the vault, what is in it, the function and its alarms."""
        self.create()
        self.init()
        next_second()
        self.put(*(image("row", number) for number in range(5)))
        began, vault = time.time(), self.vault()
        record = msgspec.structs.replace(drills.PASSED, began=moment.iso(int(began)))
        vault.drills.keep("abcd1234", began, msgspec.json.encode(record))
        for name in ("point-in-time recovery", "deletion protection", "public access", "TLS only"):
            self.aws_command(self.check(name)["mend"])
        self._function()
        self._alarms()
        wait_for(lambda: self.backup().status().changes == 5, "the function has not kept all changes")
        self.backup().witness(settings=QUICK)

    def _function(self) -> None:
        functions = self.aws.client("lambda")
        role = self.aws.client("iam").create_role(RoleName=f"role-{self.table}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        functions.create_function(
            FunctionName=self.function,
            Runtime="python3.13",
            Handler="backstream.apps.aws_lambda.handler",
            Role=role,
            Timeout=60,
            MemorySize=512,
            Code={"ZipFile": self.code.read_bytes()},
            Environment={"Variables": {"BACKSTREAM_VAULT": self.url}},
        )
        wait_for(lambda: functions.get_function_configuration(FunctionName=self.function)["State"] == "Active")
        mend = str(self.check("mappings", "--function", self.function)["mend"])
        self.aws_command(mend.replace("arn:aws:s3:::BUCKET", f"arn:aws:s3:::{self.bucket}"))

    def _alarms(self) -> None:
        for metric in METRICS:
            self.aws.client("cloudwatch").put_metric_alarm(
                AlarmName=f"{self.table}-{metric}",
                MetricName=metric,
                Namespace="AWS/Lambda",
                Statistic="Maximum",
                Dimensions=[{"Name": "FunctionName", "Value": self.function}],
                Period=60,
                EvaluationPeriods=1,
                Threshold=1.0,
                ComparisonOperator="GreaterThanThreshold",
                AlarmActions=["arn:aws:sns:us-east-1:000000000000:pager"],
            )

    def doctor(self, *words: str) -> Ran:
        return self.call("doctor", self.table, *words)

    def checks(self, *words: str) -> list[dict[str, Any]]:
        return list(self.doctor("--json", *words).json()["checks"])

    def check(self, name: str, *words: str) -> dict[str, Any]:
        (found,) = (check for check in self.checks(*words) if check["name"] == name)
        return dict(found)

    def aws_command(self, command: str) -> None:
        """Run a command of the AWS CLI as the report gives it."""
        words = shlex.split(command, comments=True)
        assert words[0] == "aws"
        out = io.StringIO()
        environment = {**self._whole(None), "AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}  # the last: where it finds its own models
        with (
            patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            code = create_clidriver().main(words[1:])
        assert code == 0, f"{command}\n{out.getvalue()}"

    @property
    def mapping(self) -> str:
        (found,) = self.aws.client("lambda").list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]
        return found["UUID"]


def not_ok(checks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(check["name"], check["verdict"]) for check in checks if check["verdict"] != "ok"]


@pytest.fixture(scope="module")
def sound(aws: Aws, lambda_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One deployment for all tests here: each that spoils something mends it."""
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    aws.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    with FaultProxy(aws.endpoint("dynamodb")) as scaling:
        scaling.on(answer(200, json.dumps({"ScalableTargets": []})), operation="DescribeScalableTargets")
        scene = Deployment(aws, name, f"{name}-table", tmp_path_factory.mktemp("doctor"))
        scene.code = lambda_zip
        scene.environment["AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING"] = scaling.url
        scene.deploy()
        yield scene


@contextlib.contextmanager
def behind_proxy(scene: Scene, service: str) -> Iterator[FaultProxy]:
    variable = f"AWS_ENDPOINT_URL_{service.upper()}"
    with FaultProxy(scene.aws.endpoint(service)) as proxy:
        scene.environment[variable] = proxy.url
        try:
            yield proxy
        finally:
            del scene.environment[variable]


# --- sound ------------------------------------------------------------------------------------------------------------------------


def test_a_sound_deployment_is_all_ok(sound: Deployment) -> None:
    ran = sound.doctor("--json")
    report = ran.json()
    assert not_ok(report["checks"]) == []
    assert (ran.code, report["wrong"], report["warnings"], report["unknown"]) == (0, 0, 0, 0)
    assert (report["table"], report["vault"]) == (sound.table, sound.url)
    names = {check["name"] for check in report["checks"]}
    assert names >= {
        "credentials",
        "versioning",
        "s3:GetObjectVersion",
        "stream",
        "catalog",
        "capture",
        "function",
        "mapping",
        "alarms",
    }
    assert not list(sound.store().list("_backstream/~doctor/")), "it has written nothing"


def test_without_a_table_it_looks_at_all_that_the_vault_knows(sound: Deployment) -> None:
    ran = sound.call("doctor", "--json")
    assert (ran.code, ran.json()["table"]) == (0, None)
    assert {"stream", "function"} <= {check["name"] for check in ran.json()["checks"]}


def test_writing_is_tried_where_it_is_wanted(sound: Deployment) -> None:
    verdicts = {check["name"]: check["verdict"] for check in sound.checks("--write")}
    assert [verdicts[name] for name in ("s3:PutObject", "s3:DeleteObject")] == ["ok", "ok"]
    assert [(each.marker, each.latest) for each in sound.store().versions("_backstream/~doctor/")][:2] == [
        (True, True),
        (False, False),
    ]


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.soak)])
def test_the_report_for_people(sound: Deployment, columns: int) -> None:
    lines = sound.call("doctor", sound.table, environment={"COLUMNS": str(columns)}).out.splitlines()
    assert lines[-1].endswith(" ok, 0 warnings, 0 unknown, 0 wrong"), lines[-8:]
    assert all(len(line) <= columns for line in lines)


# --- spoilt, and mended by what the report says -----------------------------------------------------------------------------------


def suspend_versioning(scene: Deployment) -> None:
    scene.aws.client("s3").put_bucket_versioning(Bucket=scene.bucket, VersioningConfiguration={"Status": "Suspended"})


def open_bucket(scene: Deployment) -> None:
    scene.aws.client("s3").delete_public_access_block(Bucket=scene.bucket)


def drop_policy(scene: Deployment) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "s3:Get*",
        "Resource": f"arn:aws:s3:::{scene.bucket}/*",
    }
    scene.aws.client("s3").put_bucket_policy(Bucket=scene.bucket, Policy=json.dumps({"Statement": [statement]}))


def expire(scene: Deployment) -> None:
    rule: Any = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    scene.aws.client("s3").put_bucket_lifecycle_configuration(Bucket=scene.bucket, LifecycleConfiguration={"Rules": [rule]})


def no_recovery(scene: Deployment) -> None:
    off = {"PointInTimeRecoveryEnabled": False}
    scene.aws.client("dynamodb").update_continuous_backups(TableName=scene.table, PointInTimeRecoverySpecification=off)  # type: ignore[arg-type]


def no_protection(scene: Deployment) -> None:
    scene.aws.client("dynamodb").update_table(TableName=scene.table, DeletionProtectionEnabled=False)


def of_mapping(**changes: Any) -> Callable[[Deployment], None]:
    def spoil(scene: Deployment) -> None:
        scene.aws.client("lambda").update_event_source_mapping(UUID=scene.mapping, **changes)

    return spoil


def of_function(**changes: Any) -> Callable[[Deployment], None]:
    def spoil(scene: Deployment) -> None:
        scene.aws.client("lambda").update_function_configuration(FunctionName=scene.function, **changes)

    return spoil


def throttled(scene: Deployment) -> None:
    scene.aws.client("lambda").put_function_concurrency(FunctionName=scene.function, ReservedConcurrentExecutions=0)


ELSEWHERE = {"Variables": {"BACKSTREAM_VAULT": "s3://elsewhere/vault"}}


SPOILT: dict[str, tuple[Callable[[Deployment], None], str]] = {
    "versioning": (suspend_versioning, "wrong"),
    "public access": (open_bucket, "warning"),
    "TLS only": (drop_policy, "warning"),
    "lifecycle": (expire, "wrong"),
    "point-in-time recovery": (no_recovery, "warning"),
    "deletion protection": (no_protection, "warning"),
    "partial responses": (of_mapping(FunctionResponseTypes=[]), "wrong"),
    "bisect": (of_mapping(BisectBatchOnFunctionError=False), "warning"),
    "retries": (of_mapping(MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1), "wrong"),
    "mapping": (of_mapping(Enabled=False), "wrong"),
    "vault of the function": (of_function(Environment=ELSEWHERE), "wrong"),
    "handler": (of_function(Handler="index.handler"), "wrong"),
    "time and memory": (of_function(Timeout=3, MemorySize=128), "warning"),
    "concurrency": (throttled, "wrong"),
}


def test_what_is_spoilt_rings_and_is_mended_by_its_own_command(sound: Deployment) -> None:
    for spoil, _ in SPOILT.values():
        spoil(sound)
    wait_for(lambda: sound.check("function")["verdict"] == "ok", "the function is still being changed")
    ran = sound.doctor("--json")
    rings = {check["name"]: check for check in ran.json()["checks"] if check["verdict"] in ("wrong", "warning")}
    for check in rings.values():
        sound.aws_command(check["mend"])
    assert {name: check["verdict"] for name, check in rings.items()} == {name: verdict for name, (_, verdict) in SPOILT.items()}
    assert ran.code == 3
    wait_for(lambda: not_ok(sound.checks()) == [], "it is not mended")


# --- denied, apart, out of reach --------------------------------------------------------------------------------------------------


def test_what_is_denied_is_named_by_action_and_resource(sound: Deployment) -> None:
    with behind_proxy(sound, "s3") as proxy:
        proxy.on(DENIED, operation="GET ?versions")
        ran = sound.doctor("--json")
        check = next(check for check in ran.json()["checks"] if check["name"] == "s3:ListBucketVersions")
        assert (ran.code, check["verdict"]) == (3, "wrong")
        assert json.loads(check["mend"].removeprefix("allow: ")) == {
            "Effect": "Allow",
            "Action": "s3:ListBucketVersions",
            "Resource": f"arn:aws:s3:::{sound.bucket}",
        }


def test_what_is_denied_of_the_table(sound: Deployment) -> None:
    refused = answer(400, json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "no"}))
    with behind_proxy(sound, "dynamodb") as proxy, patch.dict(sound.environment, {"AWS_ENDPOINT_URL_DYNAMODB_STREAMS": proxy.url}):
        for operation in ("Scan", "GetRecords"):
            proxy.on(refused, operation=operation)
        checks = sound.checks()
    assert not_ok(checks) == [("dynamodb:Scan", "wrong"), ("dynamodb:GetRecords", "wrong")]


@pytest.mark.parametrize("refusal", [DENIED, answer(501, "<Error><Code>NotImplemented</Code><Message>no</Message></Error>")])
def test_what_may_not_be_seen_is_unknown(sound: Deployment, refusal: Any) -> None:
    hidden = ("encryption", "lifecycle", "policy", "publicAccessBlock", "object-lock")
    with behind_proxy(sound, "s3") as proxy:
        rules = [proxy.on(refusal, operation=f"GET ?{name}") for name in hidden]
        ran = sound.doctor("--json")
    assert all(rule.fired for rule in rules)
    names = ("encryption", "public access", "TLS only", "Object Lock", "lifecycle", "reaches back")
    assert not_ok(ran.json()["checks"]) == [(name, "unknown") for name in names]
    assert ran.code == 1


@pytest.mark.parametrize(("seconds", "verdict"), [pytest.param(30, "warning", marks=pytest.mark.soak), (-600, "wrong")])
def test_a_clock_that_is_off(sound: Deployment, seconds: float, verdict: str) -> None:
    def late(_request: Request, response: Response) -> Response:
        kept = {name: value for name, value in response.headers.items() if name.lower() != "date"}
        return Response(response.status, response.body, {**kept, "Date": formatdate(time.time() + seconds, usegmt=True)})

    with behind_proxy(sound, "s3") as proxy:
        proxy.on(rewrite(late), method="HEAD")
        assert sound.check("clock beside S3")["verdict"] == verdict


def test_servers_that_do_not_answer(sound: Deployment) -> None:
    with patch.dict(
        sound.environment, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9"}
    ):
        ran = sound.doctor("--json")
    report = ran.json()
    assert (ran.code, report["wrong"]) == (1, 0)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert [verdicts[name] for name in ("bucket", "versioning", "permissions", "catalog", "mappings")] == ["unknown"] * 5
    assert verdicts["stream"] == "ok"


# --- before deployment ------------------------------------------------------------------------------------------------------------


def test_before_anything_is_there(scene: Scene) -> None:
    scene.url = "s3://backstream-test-not-there/backups"
    ran = scene.call("doctor", scene.table, "--json")
    checks = {check["name"]: check for check in ran.json()["checks"]}
    assert ran.code == 3
    assert [checks[name]["verdict"] for name in ("bucket", "table")] == ["wrong", "wrong"]
    assert checks["bucket"]["mend"] == f"backstream init {scene.table} --vault {scene.url} --enable-stream --create-bucket"


def test_what_it_says_leads_from_nothing_to_a_vault(scene: Scene) -> None:
    scene.url = f"s3://{scene.bucket}-new/backups"
    scene.create()
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert checks["stream"]["verdict"] == "wrong"
    mend = shlex.split(checks["bucket"]["mend"])
    assert mend[0] == "backstream"
    assert scene.call(*mend[1:]).code == 0
    ran = scene.call("doctor", scene.table, "--json")
    wrong = [(check["name"], check["mend"]) for check in ran.json()["checks"] if check["verdict"] == "wrong"]
    assert [name for name, _ in wrong] == ["capture"]
    assert wrong[0][1].startswith(f"backstream tail {scene.table}")


def test_a_witness_alone_is_no_function(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(image("row", 1))
    assert scene.backup().witness(settings=QUICK).missing == 1
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert checks["capture"]["found"].startswith("by witness; 1 change,")
    assert checks.get("mappings", {"verdict": "ok"})["verdict"] == "ok", "no function has ever captured here"


def test_without_a_vault(scene: Scene) -> None:
    scene.url = ""
    scene.create()
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert (checks["vault"]["verdict"], checks["table"]["verdict"], checks["stream"]["verdict"]) == ("wrong", "ok", "wrong")
    assert "BACKSTREAM_VAULT" in checks["vault"]["mend"]


@pytest.mark.parametrize(
    "view", ["NEW_IMAGE", *(pytest.param(each, marks=pytest.mark.soak) for each in ("KEYS_ONLY", "OLD_IMAGE"))]
)
def test_a_stream_of_the_wrong_view(scene: Scene, view: Any) -> None:
    scene.create()
    specification: Any = {"StreamEnabled": True, "StreamViewType": view}
    scene.aws.client("dynamodb").update_table(TableName=scene.table, StreamSpecification=specification)
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert (checks["stream"]["verdict"], view in checks["stream"]["found"]) == ("wrong", True)


def test_a_stream_that_was_replaced(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.tail()
    client = scene.aws.client("dynamodb")
    client.update_table(TableName=scene.table, StreamSpecification={"StreamEnabled": False})
    assert scene.call("doctor", scene.table).code == 3
    scene.live().enable_stream()
    check = next(each for each in scene.call("doctor", scene.table, "--json").json()["checks"] if each["name"] == "catalog")
    assert (check["verdict"], "was replaced" in check["found"]) == ("wrong", True)
    scene.tail()
    checks = {each["name"]: each for each in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert (checks["catalog"]["verdict"], checks["gaps"]["verdict"]) == ("ok", "wrong")


def test_a_vault_in_a_folder(scene: Scene, tmp_path: Path) -> None:
    scene.url = (tmp_path / "vault").as_uri()
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert checks["vault"]["verdict"] == "wrong"
    scene.create()
    assert scene.call(*shlex.split(checks["vault"]["mend"])[1:]).code == 0
    checks = {check["name"]: check for check in scene.call("doctor", scene.table, "--json").json()["checks"]}
    assert (checks["vault"]["verdict"], checks["catalog"]["verdict"]) == ("ok", "ok")


# --- bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/table"], "not a table's name"),
        (["--function", "keep"], "a function needs a table"),
        (["flights", "--vault", "ftp://x"], "neither a bucket nor a folder"),
        (["flights", "--fix"], "No such option"),
        (["flights", "more/less"], "not a table's name"),
        (["flights", "more", "--all"], "names and --all exclude each other"),
    ],
)
def test_words_that_mean_nothing(scene: Scene, words: list[str], said: str) -> None:
    ran = scene.call("doctor", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
