"""The buckets: the vault, and the bucket for batches that Lambda discards. They outlive the deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backstream.apps.deploy.choices import ACCOUNT, BUCKET, KEY_ARN, PREFIX, Choices
from backstream.apps.deploy.expressions import Given, Of, Parameter, Part, Resource, StackValue, Text, Value, text

VAULT, FAILURES = "Vault", "Failures"
FAILED_BATCHES = "aws/lambda/"  # https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
ABANDONED_DAYS = 7
# This class costs least among those with immediate access: a restore needs no preparation.
ARCHIVE_CLASS = "GLACIER_IR"
# These actions remove versions, at once or later.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
ENDING = ("s3:DeleteObjectVersion", "s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:BypassGovernanceRetention")
REMOVING = ENDING[0]
RETAIN_ROLE = "RetainRole"  # see roles.retain_role
# The account's root user: no other principal has such an aws:PrincipalArn.
ROOT = "arn:*:iam::*:root"
ADMIN = r"arn:[a-z*-]+:iam::([0-9]{12}|[*]):(root|(role|user)/[a-zA-Z0-9_+=,.@/*-]+)"


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the buckets."""
    if choices.existing_bucket:
        yield Parameter("VaultBucket", "The bucket of the vault. It is there already.", choices.existing_bucket, pattern=BUCKET)
    if choices.bucket_owner:
        yield Parameter("VaultBucketOwner", "The account that this bucket belongs to.", choices.bucket_owner, pattern=ACCOUNT)
    yield Parameter("VaultPrefix", "The vault's prefix in its bucket.", choices.prefix, pattern=PREFIX)
    yield from failures_parameters(choices, several=not choices.existing_bucket)
    if choices.expire_days is not None:
        meaning = "Days after which old versions are gone for good. No moment before them can be restored: see docs/deploy.md."
        yield Parameter("ExpireOldVersionsDays", meaning, choices.expire_days, least=1, most=36_500)


def failures_parameters(choices: Choices, *, several: bool = False) -> Iterator[Parameter]:
    """Yields the parameters of the bucket for failed batches, and of all created buckets."""
    if choices.existing_failures_bucket:
        meaning = "The bucket for batches that Lambda gave up on. It is there already."
        yield Parameter("FailuresBucket", meaning, choices.existing_failures_bucket, pattern=BUCKET)
    if several or not choices.existing_failures_bucket:
        meaning = "The ARN of the only role or user that may remove versions, and change versioning and lifecycle of the buckets."
        yield Parameter("AdminArn", meaning, choices.admin or ROOT, pattern=ADMIN)
    if choices.kms_key:
        yield Parameter("KmsKeyArn", "The KMS key that encrypts the buckets.", choices.kms_key, pattern=KEY_ARN)


def resources(choices: Choices) -> Iterator[Resource]:
    """Yields the buckets to create, each with its policy."""
    if not choices.existing_bucket:
        why = "The vault. It stays when this stack is deleted: whatever happens to the stack, the backup is there."
        yield _bucket(VAULT, "vault", why, choices, _vault_only(choices))
        yield _policy(VAULT, retains=choices.retain)
    yield from failures_resources(choices)


def failures_resources(choices: Choices) -> Iterator[Resource]:
    """Yields the bucket for failed batches with its policy, if it is created."""
    if not choices.existing_failures_bucket:
        why = "Batches that Lambda gave up on, with their records: `backstream redrive` brings them into the vault. It stays, too."
        yield _bucket(FAILURES, "failures", why, choices, {"LifecycleConfiguration": {"Rules": [_no_abandoned_uploads()]}})
        yield _policy(FAILURES)


def vault_bucket(choices: Choices) -> Part:
    """The name of the vault's bucket."""
    return Given("VaultBucket") if choices.existing_bucket else Of(VAULT, "Ref")


def failures_bucket(choices: Choices) -> Part:
    """The name of the bucket of failed batches."""
    return Given("FailuresBucket") if choices.existing_failures_bucket else Of(FAILURES, "Ref")


def vault_arn(choices: Choices, *below: Part | Text) -> Text:
    """Returns the ARN of the vault's bucket, or of objects in it."""
    return text("arn:", StackValue.PARTITION, ":s3:::", vault_bucket(choices), *below)


def failures_arn(choices: Choices, *below: Part | Text) -> Text:
    """Returns the ARN of the bucket for failed batches, or of objects in it."""
    return text("arn:", StackValue.PARTITION, ":s3:::", failures_bucket(choices), *below)


def vault_owner(choices: Choices) -> Part:
    """Returns the account of the vault's bucket: the deployment's, unless another is named."""
    return Given("VaultBucketOwner") if choices.bucket_owner else StackValue.ACCOUNT


def vault_url(choices: Choices) -> Text:
    """Returns the value for `--vault`."""
    return text("s3://", vault_bucket(choices), "/", Given("VaultPrefix"))


def _bucket(id_: str, word: str, why: str, choices: Choices, more: Mapping[str, Value]) -> Resource:
    properties: dict[str, Value] = {
        # A name known beforehand: a new deployment after a deletion reports that the bucket exists, and can continue with it.
        "BucketName": text(StackValue.STACK, f"-{word}-", StackValue.ACCOUNT, "-", StackValue.REGION),
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [_encryption(choices)]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        **more,
    }
    return Resource(id_, "AWS::S3::Bucket", properties, why, kept=True)


def _encryption(choices: Choices) -> Mapping[str, Value]:
    if not choices.kms_key:
        return {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": Given("KmsKeyArn")}
    # With a bucket key S3 asks KMS now and then instead of once per object.
    return {"ServerSideEncryptionByDefault": by_key, "BucketKeyEnabled": True}


def _vault_only(choices: Choices) -> Mapping[str, Value]:
    rules = [_no_abandoned_uploads()]
    if choices.archive_days is not None or choices.expire_days is not None:
        rules.append(_old_versions(choices))
    more: dict[str, Value] = {"LifecycleConfiguration": {"Rules": rules}}
    if choices.lock is not None:
        retention = {"Mode": choices.lock.mode.upper(), "Days": choices.lock.days}
        more["ObjectLockEnabled"] = True
        more["ObjectLockConfiguration"] = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    return more


def _no_abandoned_uploads() -> Mapping[str, Value]:
    abort = {"DaysAfterInitiation": ABANDONED_DAYS}
    return {"Id": "abandoned-uploads", "Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": abort}


def _old_versions(choices: Choices) -> Mapping[str, Value]:
    rule: dict[str, Value] = {"Id": "old-versions", "Status": "Enabled", "Prefix": text(Given("VaultPrefix"), "/")}
    if choices.archive_days is not None:
        rule["NoncurrentVersionTransitions"] = [
            {"StorageClass": ARCHIVE_CLASS, "TransitionInDays": choices.archive_days},
        ]
    if choices.expire_days is not None:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": Given("ExpireOldVersionsDays")}
    return rule


def _policy(bucket: str, *, retains: bool = False) -> Resource:
    """Returns the policy: nothing without TLS, for everybody; and only the administrator may remove the bucket's contents.

    `retains`: the role of the retention may remove versions too, and nothing else of that.
    """
    everything: list[Value] = [text(Of(bucket)), text(Of(bucket), "/*")]
    tls = _deny("OnlyWithTls", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": ["false"]}})
    others = {"ArnNotLike": {"aws:PrincipalArn": [Given("AdminArn")]}}
    kept_by_all = [each for each in ENDING if not (retains and each == REMOVING)]
    ending = [_deny("OnlyTheAdminEndsVersions", kept_by_all, everything, others)]
    if retains:
        removers = {"ArnNotLike": {"aws:PrincipalArn": [Given("AdminArn"), Of(RETAIN_ROLE)]}}
        ending.append(_deny("OnlyTheRetentionRemovesVersions", [REMOVING], everything, removers))
    document = {"Version": "2012-10-17", "Statement": [tls, *ending]}
    return Resource(
        f"{bucket}Policy", "AWS::S3::BucketPolicy", {"Bucket": Of(bucket, "Ref"), "PolicyDocument": document}, kept=True
    )


def _deny(sid: str, actions: Sequence[str], resources: Sequence[Value], condition: Mapping[str, Value]) -> Mapping[str, Value]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }
