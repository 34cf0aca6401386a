"""The policies in docs/deploy.md are what is needed, and no more than the template gives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.deploy import AlarmsPer, Choices, template
from backstream.ports import Delete, Put
from backstream.vault.catalog import Layout
from kit import images, templates
from kit.aws import Aws
from kit.deployments import COMBINATIONS
from kit.recorded import ACCOUNT, REGION, Call, Recorder
from kit.scene import Scene

PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()
POLICIES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
FLIGHTS = {"VaultBucket": "our-vault", "VaultPrefix": "vault", "Failures": "-", "FlightsStreamArn": "-", "KmsKeyArn": "-"}


def of_role(name: str) -> dict[str, Any]:
    """What the template lets a role do with the vault and its key, by the action."""
    key = "arn:aws:kms:eu-central-1:222222222222:key/1"
    parsed = templates.parse(template(Choices(tables=["flights"], existing_bucket="our-vault", kms_key=key)))
    statements = [*templates.statements(parsed, name, FLIGHTS)]
    return grants([each for each in statements if any("our-vault" in one or one == "-" for one in each["Resource"])], "s3:", "kms:")


def grants(statements: Sequence[Mapping[str, Any]], *services: str) -> dict[str, Any]:
    found: dict[str, set[str]] = {}
    for each in statements:
        actions, resources = ([value] if isinstance(value, str) else value for value in (each["Action"], each["Resource"]))
        for action in actions:
            if action.startswith(services):
                found.setdefault(action, set()).update(resource for resource in resources if "our-vault" in resource)
    return found


@pytest.mark.parametrize(
    ("role", "name"), [("CAPTURE-ROLE", "CaptureRole"), ("WITNESS-ROLE", "WitnessRole"), ("DRILL-ROLE", "DrillRole")]
)
def test_another_accounts_bucket_and_key_allow_what_the_role_is_allowed(role: str, name: str) -> None:
    bucket, key, _ = POLICIES
    allowed = [each for each in bucket["Statement"] if each["Effect"] == "Allow" and role in json.dumps(each["Principal"])]
    assert role in json.dumps(key["Principal"])
    wanted = of_role(name)
    assert grants([*allowed, key], "s3:", "kms:") == wanted
    assert {"kms:Decrypt", "kms:GenerateDataKey", "s3:ListBucketVersions"} <= wanted.keys()


@pytest.mark.parametrize(
    "action", ["DeleteObjectVersion", "PutLifecycleConfiguration", "PutBucketVersioning", "BypassGovernanceRetention"]
)
def test_another_accounts_bucket_lets_its_admin_alone_end_versions(action: str) -> None:
    """As the template's bucket does: whoever is allowed everything by a policy of his own is denied this."""
    everything = {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}
    policy = [everything, *POLICIES[0]["Statement"]]
    resource = "arn:aws:s3:::our-vault" if action.startswith("Put") else "arn:aws:s3:::our-vault/vault/flights/x"
    for who, may in (("role/BACKUP-ADMIN", True), ("role/administrator", False), ("root", False), ("user/BACKUP-ADMIN", False)):
        principal = f"arn:aws:iam::222222222222:{who}"
        assert templates.permitted(policy, Call(f"s3:{action}", resource), principal) is may, who
        assert templates.permitted(policy, Call("s3:GetObject", f"{resource}/x"), principal)


def test_every_policy_on_a_page_is_held_against_the_code() -> None:
    """A page with a policy that no test reads would grow old."""
    pages = sorted(Path(__file__).parents[3].glob("docs/*.md"))
    assert [each.name for each in pages if '"Effect"' in each.read_text()] == ["deploy.md", "replicate.md", "retention.md"]


def test_what_retention_needs_beyond_all_roles_is_to_remove_versions_and_to_see_locks() -> None:
    """No role of the template may remove a version, and the vault's bucket lets its admin alone do it: the page says both."""
    page = (Path(__file__).parents[3] / "docs" / "retention.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    needed = grants([{**each, "Resource": ["our-vault"]} for each in json.loads(f"[{block}]")], "s3:").keys()
    have = {action for name in ("CaptureRole", "WitnessRole", "DrillRole") for action in of_role(name)}
    assert needed - have == {
        *("s3:DeleteObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold"),
        "s3:GetBucketVersioning",  # before anything is written, whether old versions stay
    }
    denied = {action for each in POLICIES[0]["Statement"] if each["Effect"] == "Deny" for action in [*each["Action"]]}
    assert "s3:DeleteObjectVersion" in denied


def test_what_the_page_names_is_there() -> None:
    parsed = templates.parse(
        template(Choices(tables=["flights"], existing_bucket="x-y", existing_failures_bucket="x-y", expire_days=None))
    )
    full = templates.parse(template(Choices(tables=["flights"], kms_key="arn:aws:kms:us-east-1:111111111111:key/1", expire_days=9)))
    signed = templates.parse(template(COMBINATIONS["signed, with keys for all, by an admin"]))
    named = {name for each in (parsed, full, signed, templates.parse(template(Choices()))) for name in each["Parameters"]}
    table = PAGE[PAGE.index("## Parameters") : PAGE.index("## Many tables")]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == named
    alarms = {each["Properties"]["AlarmName"]["Fn::Sub"] for each in full["Resources"].values() if "Alarm" in each["Type"]}
    rung = PAGE[PAGE.index("## When an alarm rings") : PAGE.index("## Updating")]
    told = set(re.findall(r"^\| `([a-z-]+)` \|", rung, re.MULTILINE))
    both = templates.parse(template(Choices(tables=["flights"], alarms_per=AlarmsPer.GROUP, retain=True)))
    alarms |= {each["Properties"]["AlarmName"]["Fn::Sub"] for each in both["Resources"].values() if "Alarm" in each["Type"]}
    assert told == {each.removeprefix("${AWS::StackName}-").removeprefix("Flights-") for each in alarms}


@pytest.mark.soak
@pytest.mark.parametrize("layout", list(Layout))
def test_a_restore_needs_no_more_than_the_page_says(aws: Aws, bucket: str, table_name: str, tmp_path: Path, layout: Layout) -> None:
    """From another account: the table and its stream are not there."""
    scene = Scene(aws, bucket, table_name, tmp_path)
    scene.create()
    scene.init(layout=layout)
    scene.write([Put(images.image("z", number)) for number in range(20)])
    scene.write([Delete(images.key("z", number)) for number in range(5)])
    scene.tail()
    aws.client("dynamodb").delete_table(TableName=table_name)
    with Recorder(aws.url) as recorder:
        through = {name: recorder.url for name in scene.environment if name.startswith("AWS_ENDPOINT_URL")}
        ran = scene.call("restore", table_name, "--at", "now", "--to", f"{table_name}-restored", environment=through)
        assert ran.code == 0, ran.err
        calls = recorder.calls
    *_, policy = POLICIES
    known = json.dumps(policy["Statement"]).replace("our-vault/vault", f"{bucket}/backups").replace("our-vault", bucket)
    known = known.replace("eu-central-1:222222222222", f"{REGION}:{ACCOUNT}").replace("flights-restored", f"{table_name}-restored")
    statements = [{**each, "Resource": [each["Resource"]]} for each in json.loads(known)]
    refused = {call for call in calls if not any(templates.allows(each, call) for each in statements)}
    assert not refused
    assert Call("dynamodb:CreateTable", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table_name}-restored") in calls
