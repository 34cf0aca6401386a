"""Judges the effect of a bucket's lifecycle rules on a vault, and how far back they let it reach.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html and, for objects that must be restored
before they can be read, https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backstream.operations.doctor import expected
from backstream.operations.doctor.report import Check, ok, warning, wrong
from backstream.ports import Described

NAME = "lifecycle"
FROZEN = ("GLACIER", "DEEP_ARCHIVE")


def judged(bucket: str, prefix: str, rules: Sequence[Described]) -> list[Check]:
    """Returns the checks of the rules that reach into the vault; one `ok` if there is nothing to report."""
    mine = [rule for rule in rules if _applies(rule, prefix)]
    found = [check for rule in mine for check in _of_rule(rule, _mend(bucket, rules, rule))]
    if found:
        return found
    return [ok(NAME, f"{len(mine)} rules, and none harms the vault" if mine else "no rule expires or moves what the vault holds")]


def keeps_days(prefix: str, rules: Sequence[Described]) -> int | None:
    """Returns the days for which an image stays at least once there is a newer one; None if no rule ends that."""
    days = [_noncurrent_days(rule) for rule in rules if _applies(rule, prefix)]
    return min((each for each in days if each is not None), default=None)


def _applies(rule: Described, prefix: str) -> bool:
    """True if a rule is in force and reaches an object below that prefix. The vault's objects have no tags."""
    place = rule.get("Filter") or {}
    both = place.get("And") or {}
    if "Tag" in place or both.get("Tags"):
        return False
    below = str(rule.get("Prefix") or place.get("Prefix") or both.get("Prefix") or "")
    return rule.get("Status") == "Enabled" and (below.startswith(prefix) or prefix.startswith(below))


def _of_rule(rule: Described, mend: str) -> Iterator[Check]:
    name = f"the rule {rule.get('ID') or 'without a name'}"
    expires = rule.get("Expiration") or {}
    when = f"after {expires['Days']} days" if expires.get("Days") else f"on {expires['Date']}" if expires.get("Date") else ""
    if when:
        yield wrong(NAME, f"{name} expires objects {when}, the newest image of a row that nobody changes too", mend)
    if expires.get("ExpiredObjectDeleteMarker"):
        yield warning(NAME, f"{name} removes the delete markers of rows whose images have expired: nothing is left of them", mend)
    yield from _of_old_versions(rule, name, mend)
    yield from _of_transitions(rule, name, mend)


def _of_old_versions(rule: Described, name: str, mend: str) -> Iterator[Check]:
    days = _noncurrent_days(rule)
    if days is None or days >= expected.KEEPS_USUALLY:
        return
    found = f"{name} expires old versions after {days} days: restores reach no further back"
    if days < expected.KEEPS_LEAST:
        yield wrong(NAME, f"{found}, and a mistake is gone before it is noticed", mend)
    else:
        yield warning(NAME, found, mend)


def _of_transitions(rule: Described, name: str, mend: str) -> Iterator[Check]:
    if moved := _frozen(rule.get("Transitions")):
        yield wrong(NAME, f"{name} moves objects to {moved}: restores fail until each has been thawed, for hours", mend)
    if moved := _frozen(rule.get("NoncurrentVersionTransitions")):
        yield warning(NAME, f"{name} moves old versions to {moved}: older ones have to be thawed before they are restored", mend)


def _frozen(transitions: Any) -> str:
    return ", ".join(sorted({str(each["StorageClass"]) for each in transitions or () if each.get("StorageClass") in FROZEN}))


def _noncurrent_days(rule: Described) -> int | None:
    days = (rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays")
    return None if days is None else int(days)


def _mend(bucket: str, rules: Sequence[Described], rule: Described) -> str:
    if len(rules) == 1:
        return f"aws s3api delete-bucket-lifecycle --bucket {bucket}"
    every = f"aws s3api get-bucket-lifecycle-configuration --bucket {bucket}"
    return f"{every}  # and put it back without {rule.get('ID') or 'that rule'}"
