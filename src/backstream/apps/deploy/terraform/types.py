"""Translates a description's resources to Terraform: often into several, because the provider splits buckets and roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from backstream.apps.deploy.expressions import Resource
from backstream.apps.deploy.terraform.hcl import Block, Raw
from backstream.apps.deploy.terraform.values import Values, snake

_NESTED = "    "  # of the arguments of a block in a resource
Kind = Callable[[Resource, Values], Sequence[Block]]


def _resource(kind: str, name: str, arguments: Mapping[str, object], blocks: Sequence[Block] = ()) -> Block:
    return Block(("resource", kind, name), arguments, blocks)


def _without(properties: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: each for name, each in properties.items() if name not in names}


# --- buckets ----------------------------------------------------------------------------------------------------------------------


def _bucket(resource: Resource, to: Values) -> list[Block]:
    name, properties = snake(resource.id), resource.properties
    made: dict[str, object] = {"bucket": to.of(properties["BucketName"])}
    if "ObjectLockEnabled" in properties:
        made["object_lock_enabled"] = True
    parts = [
        _resource(f"aws_s3_bucket_{word}", name, {"bucket": Raw(f"aws_s3_bucket.{name}.bucket"), **arguments}, blocks)
        for word, arguments, blocks in _bucket_parts(name, properties, to)
    ]
    return [_resource("aws_s3_bucket", name, made), *parts]


def _bucket_parts(
    name: str, properties: Mapping[str, Any], to: Values
) -> Iterator[tuple[str, Mapping[str, object], Sequence[Block]]]:
    yield "versioning", {}, [Block(("versioning_configuration",), to.arguments(properties["VersioningConfiguration"]))]
    yield "server_side_encryption_configuration", {}, [_encryption(properties["BucketEncryption"], to)]
    yield "public_access_block", to.arguments(properties["PublicAccessBlockConfiguration"]), []
    yield "ownership_controls", {}, [Block(("rule",), to.arguments(properties["OwnershipControls"]["Rules"][0]))]
    after_versioning = {"depends_on": [Raw(f"aws_s3_bucket_versioning.{name}")]}
    rules = [_rule(each, to) for each in properties["LifecycleConfiguration"]["Rules"]]
    yield "lifecycle_configuration", after_versioning, rules
    if "ObjectLockConfiguration" in properties:
        retention = to.arguments(properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"])
        yield "object_lock_configuration", {}, [Block(("rule",), {}, [Block(("default_retention",), retention)])]


def _encryption(encryption: Mapping[str, Any], to: Values) -> Block:
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    names = {"SSEAlgorithm": "sse_algorithm", "KMSMasterKeyID": "kms_master_key_id"}
    default = to.arguments(rule["ServerSideEncryptionByDefault"], names)
    arguments = to.arguments(_without(rule, "ServerSideEncryptionByDefault"))
    return Block(("rule",), arguments, [Block(("apply_server_side_encryption_by_default",), default)])


def _rule(rule: Mapping[str, Any], to: Values) -> Block:
    blocks = [Block(("filter",), to.arguments({"Prefix": rule["Prefix"]}))]
    if "AbortIncompleteMultipartUpload" in rule:
        abort = to.arguments(rule["AbortIncompleteMultipartUpload"])
        blocks.append(Block(("abort_incomplete_multipart_upload",), abort))
    blocks += [
        Block(("noncurrent_version_transition",), to.arguments(each, {"TransitionInDays": "noncurrent_days"}))
        for each in rule.get("NoncurrentVersionTransitions", ())
    ]
    if "NoncurrentVersionExpiration" in rule:
        blocks.append(Block(("noncurrent_version_expiration",), to.arguments(rule["NoncurrentVersionExpiration"])))
    return Block(("rule",), to.arguments({"Id": rule["Id"], "Status": rule["Status"]}), blocks)


# --- policies ---------------------------------------------------------------------------------------------------------------------


def _bucket_policy(resource: Resource, to: Values) -> list[Block]:
    name = snake(resource.id)
    policy = {"bucket": to.of(resource.properties["Bucket"]), "policy": _json_of(name)}
    return [_document(name, resource.properties["PolicyDocument"], to), _resource("aws_s3_bucket_policy", name, policy)]


def _role(resource: Resource, to: Values) -> list[Block]:
    name = snake(resource.id)
    trust = f"{name}_trust"
    blocks = [
        _document(trust, resource.properties["AssumeRolePolicyDocument"], to),
        _resource("aws_iam_role", name, {"name_prefix": Raw('"${var.name}-"'), "assume_role_policy": _json_of(trust)}),
    ]
    for each in resource.properties["Policies"]:  # type: ignore[attr-defined] # a role's own, of roles.py
        inline = {"name": each["PolicyName"], "role": Raw(f"aws_iam_role.{name}.id"), "policy": _json_of(name)}
        blocks += [_document(name, each["PolicyDocument"], to), _resource("aws_iam_role_policy", name, inline)]
    return blocks


def _json_of(document: str) -> Raw:
    return Raw(f"data.aws_iam_policy_document.{document}.json")


def _document(name: str, document: Any, to: Values) -> Block:
    statements = [_statement(each, to) for each in document["Statement"]]
    return Block(("data", "aws_iam_policy_document", name), {"version": document["Version"]}, statements)


def _statement(statement: Mapping[str, Any], to: Values) -> Block:
    names = {"Action": "actions", "Resource": "resources"}
    arguments = to.arguments(_without(statement, "Principal", "Condition"), names)
    blocks = []
    for kind, identifiers in _principals(statement):
        blocks.append(Block(("principals",), {"type": kind, "identifiers": identifiers}))
    for test, keys in statement.get("Condition", {}).items():
        for variable, values in keys.items():
            blocks.append(Block(("condition",), {"test": test, "variable": variable, "values": to.of(values)}))
    return Block(("statement",), arguments, blocks)


def _principals(statement: Mapping[str, Any]) -> list[tuple[str, object]]:
    principal = statement.get("Principal", {})
    return [("*", ["*"])] if principal == "*" else list(principal.items())


# --- functions --------------------------------------------------------------------------------------------------------------------


def _log_group(resource: Resource, to: Values) -> list[Block]:
    arguments = to.arguments(resource.properties, {"LogGroupName": "name"})
    return [_resource("aws_cloudwatch_log_group", snake(resource.id), arguments)]


def _function(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    names = {"S3Bucket": "s3_bucket", "S3Key": "s3_key"}
    plain = to.arguments(_without(properties, "Code", "Environment", "EphemeralStorage", "ImageConfig"))
    role = properties["Role"].resource
    # A role's policy is a separate resource here: without the dependency the first invocations would be refused.
    after = [Raw(f"aws_cloudwatch_log_group.{snake(each)}") for each in resource.after]
    after.append(Raw(f"aws_iam_role_policy.{snake(role)}"))
    # The names of environment variables stay unchanged.
    variables = {name: to.of(each) for name, each in properties["Environment"]["Variables"].items()}
    blocks = [Block(("environment",), {"variables": variables})]
    if "ImageConfig" in properties:
        blocks.append(Block(("image_config",), to.arguments(properties["ImageConfig"])))
    if "EphemeralStorage" in properties:
        blocks.append(Block(("ephemeral_storage",), to.arguments(properties["EphemeralStorage"])))
    arguments = {**plain, **to.arguments(properties["Code"], names), "depends_on": after}
    return [_resource("aws_lambda_function", snake(resource.id), arguments, blocks)]


def _mapping(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    destination = {"destination_arn": to.of(properties["DestinationConfig"]["OnFailure"]["Destination"])}
    blocks = [
        Block(("destination_config",), {}, [Block(("on_failure",), destination)]),
        Block(("metrics_config",), to.arguments(properties["MetricsConfig"])),
    ]
    plain = to.arguments(_without(properties, "DestinationConfig", "MetricsConfig"))
    return [_resource("aws_lambda_event_source_mapping", snake(resource.id), plain, blocks)]


def _invocation(resource: Resource, to: Values) -> list[Block]:
    arguments = to.arguments(resource.properties)
    return [_resource("aws_lambda_function_event_invoke_config", snake(resource.id), arguments)]


def _schedule(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    blocks = [Block((snake(each),), _indented(to.arguments(properties[each]))) for each in ("FlexibleTimeWindow", "Target")]
    plain = to.arguments(_without(properties, "FlexibleTimeWindow", "Target"))
    return [_resource("aws_scheduler_schedule", snake(resource.id), plain, blocks)]


def _indented(arguments: Mapping[str, object]) -> dict[str, object]:
    """Returns a nested block's arguments: an expression of several lines stands as deep as it does."""
    return {
        name: Raw(each.text.replace("\n", f"\n{_NESTED}")) if isinstance(each, Raw) and "<<EOT" not in each.text else each
        for name, each in arguments.items()
    }


def _signing(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    blocks = [
        Block(("allowed_publishers",), to.arguments(properties["AllowedPublishers"])),
        Block(("policies",), to.arguments(properties["CodeSigningPolicies"])),
    ]
    return [_resource("aws_lambda_code_signing_config", snake(resource.id), {}, blocks)]


# --- what watches -----------------------------------------------------------------------------------------------------------------


def _alarm(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    arguments = to.arguments(_without(properties, "Dimensions", "Metrics"), {"OKActions": "ok_actions"})
    if "Dimensions" in properties:
        arguments["dimensions"] = {each["Name"]: to.of(each["Value"]) for each in properties["Dimensions"]}
    queries = [Block(("metric_query",), to.arguments(each)) for each in properties.get("Metrics", ())]
    return [_resource("aws_cloudwatch_metric_alarm", snake(resource.id), arguments, queries)]


def _composite(resource: Resource, to: Values) -> list[Block]:
    arguments = to.arguments(resource.properties, {"OKActions": "ok_actions"})
    return [_resource("aws_cloudwatch_composite_alarm", snake(resource.id), arguments)]


def _topic(resource: Resource, to: Values) -> list[Block]:
    names = {"TopicName": "name", "KmsMasterKeyId": "kms_master_key_id"}
    return [_resource("aws_sns_topic", snake(resource.id), to.arguments(resource.properties, names))]


def _dashboard(resource: Resource, to: Values) -> list[Block]:
    return [_resource("aws_cloudwatch_dashboard", snake(resource.id), to.arguments(resource.properties))]


# --- what computes ----------------------------------------------------------------------------------------------------------------


def _spark(resource: Resource, to: Values) -> list[Block]:
    properties: Mapping[str, Any] = resource.properties
    parts = ("MaximumCapacity", "AutoStartConfiguration", "AutoStopConfiguration")
    blocks = [Block((snake(each),), to.arguments(properties[each])) for each in parts]
    return [_resource("aws_emrserverless_application", snake(resource.id), to.arguments(_without(properties, *parts)), blocks)]


KINDS: Mapping[str, Kind] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::IAM::Role": _role,
    "AWS::Lambda::CodeSigningConfig": _signing,
    "AWS::SNS::Topic": _topic,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Lambda::EventInvokeConfig": _invocation,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::EMRServerless::Application": _spark,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::CompositeAlarm": _composite,
    "AWS::CloudWatch::Dashboard": _dashboard,
}
