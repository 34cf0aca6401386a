"""The retention's role, which alone may remove versions, and may do nothing else than the retention does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.apps.deploy.choices import AlarmsPer
from backstream.errors import UsageError
from backstream.operations.base.compact import compact
from backstream.operations.retain import RetainContext, retain
from backstream.ports import ObjectVersion, Removal
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit import templates
from kit.lived import SMALL, lived
from kit.recorded import ACCOUNT, Call
from kit.stage import Stage

RETAIN = f"arn:aws:iam::{ACCOUNT}:role/retain"
KNOWN = {"VaultBucket": "bbb", "VaultPrefix": "vault", "Vault": "bbb", "Vault.Arn": "arn:aws:s3:::bbb", "Failures": "gone"}
KNOWN |= {"FlightsStreamArn": "arn:stream", "AdminArn": f"arn:aws:iam::{ACCOUNT}:role/admin", "RetainRole.Arn": RETAIN}
BUCKET, OBJECTS = "arn:aws:s3:::bbb", "arn:aws:s3:::bbb/vault/"
SYSTEM = f"{OBJECTS}_backstream/flights/"
OTHERS = ["CaptureRole", "WitnessRole", "DrillRole"]


def deployed(**choices: Any) -> dict[str, Any]:
    return templates.parse(template(Choices(tables=["flights"], retain=True, **choices)))


def policy(parsed: dict[str, Any], role: str) -> list[Any]:
    return [*templates.statements(parsed, role, KNOWN), *templates.bucket_policy(parsed, "Vault", KNOWN)]


class Recording:
    """A store, and the calls of S3 that its use would be."""

    def __init__(self, inner: Any, calls: set[Call]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _note(self, action: str, name: str) -> None:
        self._calls.add(Call(f"s3:{action}", OBJECTS + name))

    def put(self, name: str, *rest: Any, **more: Any) -> str:
        self._note("PutObject", name)
        return str(self._inner.put(name, *rest, **more))

    def delete(self, name: str) -> str:
        self._note("DeleteObject", name)
        return str(self._inner.delete(name))

    def get(self, name: str, version: str | None = None) -> Any:
        self._note("GetObjectVersion" if version else "GetObject", name)
        return self._inner.get(name, version)

    def head(self, name: str, version: str | None = None) -> Any:
        self._note("GetObjectVersion" if version else "GetObject", name)
        return self._inner.head(name, version)

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        rows = list(wanted)
        for each in rows:
            self._note("DeleteObjectVersion", each.name)
        return iter(self._inner.remove_each(rows))

    def lock_of(self, version: ObjectVersion) -> Any:
        self._note("GetObjectRetention", version.name)
        return self._inner.lock_of(version)


def retained(layout: Layout) -> set[Call]:
    """All that a retention does to a vault with all kinds of objects."""
    stage: Stage
    stage, seconds = lived(3, layout=layout)
    compact(stage.vault(), stage.clock, memory=SMALL)
    stage.vault().gaps.record(Gap("over", seconds[0], seconds[0], stage.vault().catalog.stream))
    stage.put(range(4))
    stage.follow()
    stage.clock.sleep(100)
    calls = set[Call]()
    store: Any = Recording(stage.store, calls)
    report = retain(stage.vault(store), 200, RetainContext(stage.clock, store, SMALL))
    assert report.removed_versions
    return calls


@pytest.mark.parametrize("layout", Layout)
def test_the_retentions_role_may_do_what_is_done(layout: Layout) -> None:
    allowed, calls = policy(deployed(), "RetainRole"), retained(layout)
    refused = sorted({each for each in calls if not templates.permitted(allowed, each, RETAIN)})
    assert refused == []
    for sid in ("ReadVault", "WriteState", "HideCompacted", "RemoveVersions"):
        less = [each for each in allowed if each["Sid"] != sid]
        assert not all(templates.permitted(less, each, RETAIN) for each in calls), sid


def test_it_adds_nothing_to_the_log_and_changes_no_bucket() -> None:
    allowed = policy(deployed(), "RetainRole")
    asked = [Call("s3:PutObject", f"{SYSTEM}{each}") for each in ("log/x", "gaps/x", "erasures/x", "drills/x")]
    asked += [Call("s3:PutObject", f"{OBJECTS}{each}") for each in ("flights/x", "_backstream/orders/catalog.json")]
    asked += [Call(f"s3:{each}", f"{SYSTEM}log/x") for each in ("BypassGovernanceRetention", "PutObjectRetention")]
    asked += [Call("s3:DeleteObjectVersion", f"{OBJECTS}orders/x"), Call("s3:DeleteObject", f"{OBJECTS}flights/x")]
    asked += [Call(f"s3:{each}", BUCKET) for each in ("PutLifecycleConfiguration", "PutBucketVersioning", "DeleteBucket")]
    asked += [Call("dynamodb:Scan", f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/flights")]
    assert [each for each in asked if templates.permitted(allowed, each, RETAIN)] == []


@pytest.mark.parametrize("retains", [False, True])
def test_nobody_else_may_remove_a_version(*, retains: bool) -> None:
    parsed = templates.parse(template(Choices(tables=["flights"], retain=retains)))
    removal = Call("s3:DeleteObjectVersion", f"{SYSTEM}log/x")
    everything = {"Sid": "All", "Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
    for role in OTHERS:
        assert not templates.permitted(policy(parsed, role), removal)
        assert not templates.permitted([*policy(parsed, role), everything], removal), "the bucket's own policy"
    bucket = [*templates.bucket_policy(parsed, "Vault", KNOWN), everything]
    assert templates.permitted(bucket, removal, RETAIN) is retains
    assert templates.permitted(bucket, removal, KNOWN["AdminArn"])
    assert not templates.permitted(bucket, Call("s3:PutLifecycleConfiguration", BUCKET), RETAIN)


def joined(value: Any) -> str:
    """A value of the template as text."""
    if isinstance(value, str):
        return value
    separator, parts = value["Fn::Join"]
    return str(separator).join(map(joined, parts))


def test_its_schedule_starts_it_for_all_tables_in_both_languages() -> None:
    choices = Choices(tables=["flights", "orders"], retain=True, retain_schedule="rate(3 days)")
    parsed = templates.parse(template(choices))
    schedule = parsed["Resources"]["Retentions"]["Properties"]
    assert parsed["Parameters"]["RetainSchedule"]["Default"] == "rate(3 days)"
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["Retain", "Arn"]}
    event = json.loads(joined(schedule["Target"]["Input"]))
    assert event == {"tables": ["flights", "orders"]}
    assert parsed["Resources"]["Retain"]["Properties"]["Handler"] == "backstream.apps.aws_retain.handler"
    module = template(choices, TemplateFormat.HCL)
    for word in ("aws_retain.handler", "s3:DeleteObjectVersion", "rate(3 days)", "OnlyTheRetentionRemovesVersions"):
        assert word in module
    without = template(Choices(tables=["flights"]))
    assert "aws_retain" not in without


@pytest.mark.parametrize("per", AlarmsPer)
def test_an_alarm_rings_if_it_fails_for_a_table(per: AlarmsPer) -> None:
    parsed = deployed(alarms_per=per)
    alarm = parsed["Resources"]["RetainErrorsAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == ("Errors", "Sum", 0)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Retain"}}]
    above = parsed["Resources"].get("BackupAlarm", {"Properties": {"AlarmRule": {"Fn::Sub": "${RetainErrorsAlarm}"}}})
    assert "${RetainErrorsAlarm}" in above["Properties"]["AlarmRule"]["Fn::Sub"]
    assert "RetainErrorsAlarm" not in templates.parse(template(Choices(tables=["flights"])))["Resources"]


@pytest.mark.parametrize("choices", [{"replica": "copy"}, {"retain_schedule": "now and then"}])
def test_choices_that_make_no_sense(choices: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        template(Choices(tables=["flights"], retain=True, **choices))
