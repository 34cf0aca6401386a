"""Deployments that differ in everything in which they can."""

from __future__ import annotations

from backstream.apps.deploy import AlarmsPer, Architecture, ChangeSource, Choices
from backstream.model.object_lock import LockMode, ObjectLock
from backstream.model.request_settings import Encryption, RequestSettings

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-1111-2222-3333-444455556666"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"
PROFILE = "arn:aws:signer:eu-central-1:123456789012:/signing-profiles/ours/0a1b2c3d4e"
SIGNING_KEY = "arn:aws:kms:eu-central-1:123456789012:key/5e6f7a8b-1111-2222-3333-444455556666"
STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/flights/stream/2026-11-23T04:15:33.123"
KINESIS = "arn:aws:kinesis:eu-central-1:123456789012:stream/changes"

COMBINATIONS = {
    "for one table, named later": Choices(),
    "for one": Choices(tables=["flights"], streams={"flights": STREAM}),
    "for three that look alike": Choices(tables=["order-items", "order_items", "Order.Items"]),
    "for twelve": Choices(tables=[f"table-{number}" for number in range(12)]),
    "for two, with one alarm above all": Choices(tables=["flights", "_Orders.2"], alarms_per=AlarmsPer.COMPOSITE, topic_key=KEY),
    "by a key, locked, archived, expired": Choices(
        tables=["flights"],
        kms_key=KEY,
        lock=ObjectLock(LockMode.COMPLIANCE, 30),
        archive_days=30,
        expire_days=400,
        export="s3://our-lake/tables",
    ),
    "into buckets that are there": Choices(
        tables=["flights"], existing_bucket="our-backups", existing_failures_bucket="our-failures", kms_key=KEY
    ),
    "without anything that watches": Choices(tables=["flights"], alarms=False, dashboard=False, drill=False, witness=False),
    "with other numbers": Choices(
        tables=["flights"],
        architecture=Architecture.X86_64,
        runtime="python3.13",
        reserved_concurrency=20,
        parallelization=10,
        batch_size=10_000,
        alarm_topic=TOPIC,
        drill_schedule="cron(0 3 * * ? *)",
    ),
    "signed, with keys for all, by an admin": Choices(
        tables=["flights"],
        existing_bucket="our-backups",
        bucket_owner="210987654321",
        admin="arn:aws:iam::123456789012:role/backup-admin",
        logs_key=KEY,
        environment_key=KEY,
        topic_key=KEY,
        signing_profile=PROFILE,
        sign=f"kms:{SIGNING_KEY}",
    ),
    "into a bucket whose policy demands": Choices(
        tables=["flights"],
        existing_bucket="our-backups",
        kms_key=KEY,
        requests=RequestSettings(
            Encryption.KMS, bucket_key=True, requester_pays=True, log_class="STANDARD_IA", rows_class="GLACIER_IR"
        ),
    ),
    "of Kinesis": Choices(
        tables=["flights", "orders"], source=ChangeSource.KINESIS, streams={"flights": KINESIS}, record_age=400_000
    ),
}

REPLICAS = {
    "for a replica": Choices(tables=["flights"], replica="flights-eu", replica_region="eu-west-1", replica_deletes="not-ttl"),
    "for a replica, with keys for all": Choices(
        replica="copy", kms_key=KEY, logs_key=KEY, environment_key=KEY, topic_key=KEY, signing_profile=PROFILE
    ),
}
