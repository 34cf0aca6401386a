"""The Terraform module is the CloudFormation template in other words: both are parsed and compared, resource by resource.

`terraform validate` needs the binary and the provider: see docs/unproven.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.apps.deploy.ids import id_of, short_id_of
from kit import hcl, templates, terraform_module
from kit.deployments import COMBINATIONS, REPLICAS

PSEUDO = {
    "AWS::StackName": "stack",
    "AWS::Region": "region",
    "AWS::AccountId": "account",
    "AWS::Partition": "partition",
    "AWS::URLSuffix": "domain",
}
Facts = dict[str, Any]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# --- CloudFormation's side: each type in the provider's words, written down once more here ---------------------------------------


def plain(value: Any) -> Any:
    """A value with references as `<name>`, as `hcl.plain` writes them."""
    if isinstance(value, Mapping):
        if "Ref" in value:
            return _referred(value["Ref"])
        if "Fn::GetAtt" in value:
            resource, attribute = value["Fn::GetAtt"]
            return f"<{snake(resource)}.{attribute.lower()}>"
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([^}]+)\}", lambda found: _in_text(found[1]), value["Fn::Sub"])
        if "Fn::If" in value:
            condition, ((given),), otherwise = value["Fn::If"]
            assert condition == f"Has{given['Ref']}"
            assert otherwise == {"Ref": "AWS::NoValue"}
            return f"<only {snake(given['Ref'])}>"
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def _referred(name: str) -> str:
    for ending in ("_kinesis_stream_arn", "_stream_arn"):  # one map of them in a module
        if snake(name).endswith(ending):
            return f"<stream of {snake(name).removesuffix(ending)}>"
    return f"<{PSEUDO.get(name, snake(name))}>"


def _in_text(name: str) -> str:
    resource, _, attribute = name.partition(".")
    return f"<{PSEUDO.get(name) or snake(resource) + (f'.{attribute.lower()}' if attribute else '')}>"


def lowered(properties: Mapping[str, Any], **names: str) -> Facts:
    return {names.get(name, snake(name)): each for name, each in properties.items()}


def bucket(name: str, made: Mapping[str, Any]) -> dict[tuple[str, str], Facts]:
    (rule,) = made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    default = rule["ServerSideEncryptionByDefault"]
    encryption = {
        "apply_server_side_encryption_by_default": [
            lowered(default, SSEAlgorithm="sse_algorithm", KMSMasterKeyID="kms_master_key_id")
        ]
    }
    if "BucketKeyEnabled" in rule:
        encryption["bucket_key_enabled"] = rule["BucketKeyEnabled"]
    parts = {
        "": {"bucket": made["BucketName"], **({"object_lock_enabled": True} if made.get("ObjectLockEnabled") else {})},
        "_versioning": {"versioning_configuration": [lowered(made["VersioningConfiguration"])]},
        "_server_side_encryption_configuration": {"rule": [encryption]},
        "_public_access_block": lowered(made["PublicAccessBlockConfiguration"]),
        "_ownership_controls": {"rule": [lowered(each) for each in made["OwnershipControls"]["Rules"]]},
        "_lifecycle_configuration": {"rule": [lifecycle_rule(each) for each in made["LifecycleConfiguration"]["Rules"]]},
    }
    if "ObjectLockConfiguration" in made:
        retention = made["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        parts["_object_lock_configuration"] = {"rule": [{"default_retention": [lowered(retention)]}]}
    return {
        (f"aws_s3_bucket{word}", name): {
            **({"bucket": f"<{name}>"} if word else {}),
            **facts,
            "lifecycle": [{"prevent_destroy": True}],
        }
        for word, facts in parts.items()
    }


def lifecycle_rule(rule: Mapping[str, Any]) -> Facts:
    facts: Facts = {"id": rule["Id"], "status": rule["Status"], "filter": [{"prefix": rule["Prefix"]}]}
    if abort := rule.get("AbortIncompleteMultipartUpload"):
        facts["abort_incomplete_multipart_upload"] = [lowered(abort)]
    if moves := rule.get("NoncurrentVersionTransitions"):
        facts["noncurrent_version_transition"] = [lowered(each, TransitionInDays="noncurrent_days") for each in moves]
    if ends := rule.get("NoncurrentVersionExpiration"):
        facts["noncurrent_version_expiration"] = [lowered(ends)]
    return facts


def policy(document: Mapping[str, Any]) -> Facts:
    return {"version": document["Version"], "statement": [statement(each) for each in document["Statement"]]}


def statement(given: Mapping[str, Any]) -> Facts:
    facts: Facts = {"effect": given["Effect"], "actions": given["Action"]}
    for name, word in (("Sid", "sid"), ("Resource", "resources")):
        if name in given:
            facts[word] = given[name]
    if "Principal" in given:
        principal = {"*": ["*"]} if given["Principal"] == "*" else given["Principal"]
        facts["principals"] = [{"type": kind, "identifiers": who} for kind, who in principal.items()]
    conditions = [
        {"test": test, "variable": variable, "values": values}
        for test, keys in given.get("Condition", {}).items()
        for variable, values in keys.items()
    ]
    return {**facts, **({"condition": conditions} if conditions else {})}


def function(made: Mapping[str, Any]) -> Facts:
    rest = {name: each for name, each in made.items() if name not in ("Code", "Environment", "EphemeralStorage", "ImageConfig")}
    facts = {**lowered(rest), **lowered(made["Code"], S3Bucket="s3_bucket", S3Key="s3_key")}
    if "ImageConfig" in made:
        facts["image_config"] = [lowered(made["ImageConfig"])]
    facts["environment"] = [{"variables": made["Environment"]["Variables"]}]
    if "EphemeralStorage" in made:
        facts["ephemeral_storage"] = [lowered(made["EphemeralStorage"])]
    return facts


def mapping(made: Mapping[str, Any]) -> Facts:
    facts = lowered({name: each for name, each in made.items() if name not in ("DestinationConfig", "MetricsConfig")})
    facts["destination_config"] = [{"on_failure": [{"destination_arn": made["DestinationConfig"]["OnFailure"]["Destination"]}]}]
    return {**facts, "metrics_config": [lowered(made["MetricsConfig"])]}


def alarm(made: Mapping[str, Any]) -> Facts:
    facts = lowered({name: each for name, each in made.items() if name not in ("Dimensions", "Metrics")}, OKActions="ok_actions")
    if "Metrics" in made:
        return {**facts, "metric_query": [lowered(each) for each in made["Metrics"]]}
    return {**facts, "dimensions": {each["Name"]: each["Value"] for each in made["Dimensions"]}}


def composite(made: Mapping[str, Any]) -> Facts:
    return lowered(made, OKActions="ok_actions")


def bucket_policy(name: str, made: Mapping[str, Any]) -> dict[tuple[str, str], Facts]:
    facts = {"bucket": made["Bucket"], "policy": f"<{name}.json>", "lifecycle": [{"prevent_destroy": True}]}
    return {("aws_s3_bucket_policy", name): facts, ("aws_iam_policy_document", name): policy(made["PolicyDocument"])}


def role(name: str, made: Mapping[str, Any]) -> dict[tuple[str, str], Facts]:
    (inline,) = made["Policies"]
    return {
        ("aws_iam_policy_document", f"{name}_trust"): policy(made["AssumeRolePolicyDocument"]),
        ("aws_iam_role", name): {"name_prefix": "<stack>-", "assume_role_policy": f"<{name}_trust.json>"},
        ("aws_iam_policy_document", name): policy(inline["PolicyDocument"]),
        ("aws_iam_role_policy", name): {"name": inline["PolicyName"], "role": f"<{name}>", "policy": f"<{name}.json>"},
    }


def schedule(made: Mapping[str, Any]) -> Facts:
    blocks = {"FlexibleTimeWindow", "Target"}
    facts = lowered({word: value for word, value in made.items() if word not in blocks})
    return facts | {snake(word): [lowered(made[word])] for word in blocks}


def signing(made: Mapping[str, Any]) -> Facts:
    return {
        "allowed_publishers": [lowered(made["AllowedPublishers"])],
        "policies": [lowered(made["CodeSigningPolicies"])],
    }


def topic(made: Mapping[str, Any]) -> Facts:
    return lowered(made, TopicName="name")


def log_group(made: Mapping[str, Any]) -> Facts:
    return lowered(made, LogGroupName="name")


SEVERAL = {"AWS::S3::Bucket": bucket, "AWS::S3::BucketPolicy": bucket_policy, "AWS::IAM::Role": role}
ONE: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Facts]]] = {
    "AWS::Lambda::CodeSigningConfig": ("aws_lambda_code_signing_config", signing),
    "AWS::SNS::Topic": ("aws_sns_topic", topic),
    "AWS::Logs::LogGroup": ("aws_cloudwatch_log_group", log_group),
    "AWS::Lambda::Function": ("aws_lambda_function", function),
    "AWS::Lambda::EventSourceMapping": ("aws_lambda_event_source_mapping", mapping),
    "AWS::Lambda::EventInvokeConfig": ("aws_lambda_function_event_invoke_config", lowered),
    "AWS::Scheduler::Schedule": ("aws_scheduler_schedule", schedule),
    "AWS::CloudWatch::Alarm": ("aws_cloudwatch_metric_alarm", alarm),
    "AWS::CloudWatch::CompositeAlarm": ("aws_cloudwatch_composite_alarm", composite),
    "AWS::CloudWatch::Dashboard": ("aws_cloudwatch_dashboard", lowered),
}


def expected(parsed: Mapping[str, Any]) -> dict[tuple[str, str], Facts]:
    """What the module has to hold, from the CloudFormation template."""
    found: dict[tuple[str, str], Facts] = {}
    for id_, each in parsed["Resources"].items():
        name, made = snake(id_), plain(each["Properties"])
        if each["Type"] in SEVERAL:
            found |= SEVERAL[each["Type"]](name, made)
        else:
            kind, facts = ONE[each["Type"]]
            found[kind, name] = facts(made)
    return found


def held(module: Mapping[str, Any], tables: Sequence[str] = ()) -> dict[tuple[str, ...], Facts]:
    """What the module holds; the order in which things are made is its own business."""
    blocks = hcl.named(module, "resource") | hcl.named(module, "data")
    found = {}
    for (kind, name), body in blocks.items():
        if body.get("for_each") == "${local.tables}":
            for table in tables:
                found[kind, f"{snake(id_of(table))}_{name}"] = hcl.for_table(body, table, short_id_of(table))
        elif name != "current":
            found[kind, name] = body
    names = {table: snake(id_of(table)) for table in tables}
    return {
        labels: hcl.plain(hcl.by_name({name: each for name, each in body.items() if name != "depends_on"}, names))
        for labels, body in found.items()
    }


def told(module: Mapping[str, Any], tables: Sequence[str]) -> dict[str, Facts]:
    """The module's outputs; a map by table is one output for each."""
    found: dict[str, Facts] = {}
    names = {table: snake(id_of(table)) for table in tables}
    for (name,), body in hcl.named(module, "output").items():
        every = re.fullmatch(r"\$\{\{for table in keys\(local\.tables\) : table => (.*)\}\}", body["value"])
        if every is None:
            found[name] = hcl.plain(body)
            continue
        value = every[1][1:-1] if every[1].startswith('"') else f"${{{every[1]}}}"
        for table in tables:
            one = hcl.by_name(hcl.for_table({**body, "value": value}, table, ""), names)
            found[f"{names[table]}_{name}"] = hcl.plain(one)
    return found


# Each takes a second to parse: those that hold all there is here, the others with the long tests.
EVERYDAY = (
    "for one table, named later",
    "for two, with one alarm above all",
    "by a key, locked, archived, expired",
    "of Kinesis",
    "for a replica",
)
COMPARED = [
    pytest.param(choices, id=name, marks=[] if name in EVERYDAY else [pytest.mark.soak])
    for name, choices in {**COMBINATIONS, **REPLICAS}.items()
]


@pytest.mark.parametrize("choices", COMPARED)
def test_both_are_the_same(choices: Choices) -> None:
    parsed, module = templates.parse(template(choices)), hcl.parse(template(choices, TemplateFormat.HCL))
    assert held(module, choices.tables) == expected(parsed)

    variables = {labels[0]: body for labels, body in hcl.named(module, "variable").items()}
    assert variables.pop("name")["default"] == "backstream"
    of_tables = {name: each for name, each in parsed["Parameters"].items() if choices.tables and name.endswith("StreamArn")}
    if choices.tables:
        streams = variables.pop("streams")
        assert streams["type"] == "${map(string)}"
        assert streams.get("default", {}) == dict(choices.streams)
        assert len(of_tables) == (0 if choices.many else len(choices.tables))
    shared = {name: each for name, each in parsed["Parameters"].items() if name not in of_tables}
    assert variables.keys() == {snake(name) for name in shared}
    for name, parameter in shared.items():
        variable = variables[snake(name)]
        assert (variable["type"], variable["description"]) == (parameter["Type"].lower(), parameter["Description"])
        assert variable.get("default") == parameter.get("Default")
        assert_same_limits(variable.get("validation", []), parameter)

    assert told(module, choices.tables) == {
        snake(name): {"description": each["Description"], "value": plain(each["Value"])} for name, each in parsed["Outputs"].items()
    }


def assert_same_limits(validations: list[Facts], parameter: Mapping[str, Any]) -> None:
    said = " ".join(each["condition"] for each in validations)
    for limit in ("MinValue", "MaxValue"):
        assert limit not in parameter or re.search(rf"= {parameter[limit]}\b", said)
    assert "AllowedPattern" not in parameter or parameter["AllowedPattern"] in said
    for each in parameter.get("AllowedValues", []):
        assert str(each) in said
    assert bool(validations) == bool({"MinValue", "AllowedPattern", "AllowedValues"} & parameter.keys())


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")
def test_terraform_would_format_nothing(tmp_path: Path) -> None:
    for number, choices in enumerate({**COMBINATIONS, **REPLICAS}.values()):
        (tmp_path / f"{number}.tf").write_text(template(choices, TemplateFormat.HCL))
    for name, text in terraform_module.files().items():
        (tmp_path / name.replace("/", "-")).write_text(text.rstrip("\n") + "\n")
    done = subprocess.run(["terraform", "fmt", "-check", "-diff"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_difference_would_be_seen() -> None:
    choices = Choices(tables=["flights"], drill=False, dashboard=False)
    wanted = expected(templates.parse(template(choices)))
    text = template(choices, TemplateFormat.HCL)
    for one, other in (
        ('"s3:DeleteObject"', '"s3:DeleteObjectVersion"'),
        ("bisect_batch_on_function_error     = true", "bisect_batch_on_function_error     = false"),
        ("prevent_destroy = true", "prevent_destroy = false"),
        ("block_public_policy     = true", "block_public_policy     = false"),
    ):
        assert one in text, one
        assert held(hcl.parse(text.replace(one, other, 1)), choices.tables) != wanted
    assert held(hcl.parse(text), choices.tables) == wanted


def test_what_the_module_makes_waits_for_what_it_needs() -> None:
    blocks = hcl.named(hcl.parse(template(Choices(tables=["flights"]), TemplateFormat.HCL)), "resource")
    after = {labels: body["depends_on"] for labels, body in blocks.items() if "depends_on" in body}
    assert "${aws_iam_role_policy.capture_role}" in after["aws_lambda_function", "capture"]
    assert "${aws_cloudwatch_log_group.capture_log}" in after["aws_lambda_function", "capture"]
    assert "${aws_s3_bucket_versioning.vault}" in after["aws_s3_bucket_lifecycle_configuration", "vault"]
