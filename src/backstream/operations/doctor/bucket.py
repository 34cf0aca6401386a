"""Checks the vault's bucket: its existence, its versioning, its public access, and the effect of its lifecycle on the vault."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from backstream.errors import BackstreamError, MissingBucket, Refused
from backstream.model import moment, object_lock
from backstream.operations.doctor import expected, lifecycle, permissions
from backstream.operations.doctor.context import DoctorContext, VaultPlace
from backstream.operations.doctor.identity import account_of
from backstream.operations.doctor.report import Check, look, not_looked_at, ok, unknown, warning, wrong
from backstream.operations.setup import server
from backstream.operations.setup.letter_case import WHY
from backstream.ports import BucketSettings, LockTrial

_SET_LOCK = "set a default retention: `backstream init TABLE --create-bucket --object-lock ...`"
SETTINGS = ("versioning", "encryption", "public access", "TLS only", "Object Lock", "lifecycle")


def vault_place(patient: DoctorContext, table: str | None) -> list[Check]:
    """Checks the vault's place. Without a place all dependent checks are left out, and this says why."""
    place = patient.place
    if place is None:
        return [wrong("vault", "none is named", f"export {expected.VAULT_VARIABLE}=s3://BUCKET/PREFIX, or give --vault")]
    if place.bucket is None:
        return [
            *look("vault", lambda: _folder(place, table)),
            *look("names", lambda: _names(place)),
            *look("private", lambda: _private(place)),
        ]
    return _bucket(patient, place.bucket, place, table)


def _folder(place: VaultPlace, table: str | None) -> Check:
    try:
        place.store.check()
    except MissingBucket as error:
        return wrong("vault", error.message, _create(place, table))
    return ok("vault", f"{place.url}: a folder on this machine, as safe as this machine is")


def _names(place: VaultPlace) -> list[Check]:
    if place.tells_case is None or place.tells_case():
        return []
    return [warning("names", f"{WHY}: plain names and --tenant-attribute are refused there", "keep the vault on a disk that does")]


def _private(place: VaultPlace) -> list[Check]:
    """Checks that no other user reads the items. This version writes private files; older ones left it to the umask."""
    found = [] if place.exposed is None else list(place.exposed())
    if not found:
        return []
    why = f"other users of this machine may read items: {found[0]} and {len(found) - 1:,} more are open to them"
    return [warning("private", why, f"chmod -R go= {shlex.quote(place.url.removeprefix('file://'))}")]


def _server(patient: DoctorContext, place: VaultPlace) -> list[Check]:
    """Tries the server anew if an object may be written; otherwise tells what an earlier trial has found."""
    name, endpoint = "server", patient.endpoints()["S3"]
    try:
        proof = (
            server.try_now(place.store, endpoint, patient.clock.now(), place.comparing)
            if patient.write
            else server.proof_of(place.store, endpoint)
        )
    except Refused as error:
        return [wrong(name, error.message, error.hint)]
    if proof is None:
        return []  # of an older vault: `doctor --write`, or the next `init`, tries it
    if weak := server.warnings_of(proof):
        return [warning(name, "; ".join(weak), "use a newer version of the server: see docs/servers.md")]
    return [ok(name, f"it keeps versions, ids, conditions and metadata (tried at {proof.at})")]


def _bucket(patient: DoctorContext, bucket: BucketSettings, place: VaultPlace, table: str | None) -> list[Check]:
    try:
        region = bucket.find()
    except MissingBucket:
        return [wrong("bucket", f"there is no bucket {bucket.bucket}", _create(place, table))]
    except BackstreamError as error:
        return [unknown("bucket", error), *not_looked_at((*SETTINGS, "permissions"), "the bucket could not be found")]
    return [
        ok("bucket", f"{bucket.bucket} is there"),
        *look("bucket's region", lambda: _region(region, patient.region())),
        *look("bucket's owner", lambda: _owner(bucket, account_of(patient))),
        *look("versioning", lambda: _versioning(bucket)),
        *look("server", lambda: _server(patient, place)),
        *look("encryption", lambda: _encryption(bucket)),
        *look("public access", lambda: _public(bucket)),
        *look("TLS only", lambda: _tls(bucket)),
        *look("Object Lock", lambda: _lock(bucket)),
        *(look("Object Lock, tried", partial(_tried_lock, place.lock)) if patient.write and place.lock is not None else ()),
        *look("lifecycle", lambda: lifecycle.judged(bucket.bucket, place.prefix, bucket.lifecycle())),
        *permissions.of_vault(place, bucket.bucket, write=patient.write),
    ]


def _create(place: VaultPlace, table: str | None) -> str:
    return f"backstream init {table or 'TABLE'} --vault {place.url} --enable-stream --create-bucket"


def _region(bucket: str, tables: str) -> Check:
    name = "bucket's region"
    if not bucket:
        return ok(name, "the endpoint does not say: it has none")
    if bucket == tables:
        return ok(name, f"{bucket}, as the tables'")
    return warning(name, f"{bucket}, the tables are in {tables}: it survives their region's loss; traffic between them costs")


def _owner(bucket: BucketSettings, account: str | None) -> Check:
    name = "bucket's owner"
    if account is None:
        return not_looked_at([name], "it is not known whose credentials these are")[0]
    if bucket.is_of(account):
        return ok(name, "this account")
    return ok(name, "another account: what happens to this one leaves it alone")


def _versioning(bucket: BucketSettings) -> Check:
    status = bucket.versioning()
    if status == "Enabled":
        return ok("versioning", "enabled")
    mend = f"aws s3api put-bucket-versioning --bucket {bucket.bucket} --versioning-configuration Status=Enabled"
    return wrong("versioning", f"{status.lower() or 'never enabled'}: overwritten objects are lost", mend)


def _encryption(bucket: BucketSettings) -> Check:
    algorithm = bucket.encryption()
    if algorithm is not None:
        return ok("encryption", algorithm)
    rules = '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'
    mend = f"aws s3api put-bucket-encryption --bucket {bucket.bucket} --server-side-encryption-configuration '{rules}'"
    return warning("encryption", "none by default", mend)


def _public(bucket: BucketSettings) -> Check:
    wanted = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    found = bucket.public_access_block()
    open_still = [each for each in wanted if found.get(each) is not True]
    if not open_still:
        return ok("public access", "blocked")
    blocks = ",".join(f"{each}=true" for each in wanted)
    mend = f"aws s3api put-public-access-block --bucket {bucket.bucket} --public-access-block-configuration {blocks}"
    return warning("public access", f"not blocked by the bucket: {', '.join(open_still)} not set", mend)


def _tls(bucket: BucketSettings) -> Check:
    name, policy = bucket.bucket, bucket.policy()
    known = _several(policy.get("Statement"))
    if any(_denies_plain(each, name) for each in known):
        return ok("TLS only", "the policy refuses requests without")
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    whole = msgspec.json.encode({"Version": "2012-10-17", **policy, "Statement": [*known, statement]}).decode()
    mend = f"aws s3api put-bucket-policy --bucket {name} --policy {shlex.quote(whole)}"
    return warning("TLS only", "the bucket's policy does not ask for it", mend)


def _denies_plain(statement: Mapping[str, Any], bucket: str) -> bool:
    """True if a statement denies everybody all requests without TLS, for every object."""
    condition = statement.get("Condition") or {}
    plain = any(str(each).lower() == "false" for each in _several((condition.get("Bool") or {}).get("aws:SecureTransport")))
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
    everything = any(each in ("s3:*", "*") for each in _several(statement.get("Action")))
    objects = any(
        str(each) in ("*", "arn:aws:s3:::*") or str(each).endswith(f":{bucket}/*") for each in _several(statement.get("Resource"))
    )
    return statement.get("Effect") == "Deny" and plain and everybody and everything and objects


def _several(value: Any) -> list[Any]:
    """Returns a policy's element, or a condition's value, as a list."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _lock(bucket: BucketSettings) -> Check:
    found = bucket.object_lock()
    if not object_lock.is_on(found):
        return ok("Object Lock", "off: anyone with the right to delete versions can delete the backup")
    kept = object_lock.of_bucket(found)
    if kept is None:
        return warning("Object Lock", "on, without a default retention: no new version is locked", _SET_LOCK)
    return ok("Object Lock", f"on, {kept}")


def _tried_lock(trial: LockTrial) -> Check:
    """Tries to remove a version of an object of its own before its time."""
    name = "Object Lock, tried"
    if not trial.is_on():
        return not_looked_at([name], "the bucket has no Object Lock")[0]
    tried = trial.attempt()
    if tried.weak or tried.until is None:
        return wrong(name, "; ".join(tried.weak), _SET_LOCK)
    until = f"a version locked until {moment.iso(tried.until)} could neither be removed nor have its lock shortened"
    if tried.bypass:
        return warning(name, f"{until}; but these credentials may bypass governance mode, and could remove it")
    return ok(name, until)
