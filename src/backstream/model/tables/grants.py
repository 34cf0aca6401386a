"""Finds the principals, keys, streams and roles that a table's kept settings name. Settings are data from a bucket, not orders.
Pure.

Anybody who can write a catalog could let another account into the table that a restore creates, have it encrypted with another
account's key, or send its changes elsewhere. So a setting that names an account other than the table's own is left to a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.tables.setup import DYNAMODB, Setup, SetupStep, TableNames, Todo
from backstream.model.values.decoding import UNDECODABLE

KEY = "KMS key"
_ACCOUNT = re.compile(r"(?<![0-9A-Za-z-])(\d{12})(?![0-9A-Za-z-])")
_NOBODYS = re.compile(r"[A-Z0-9]{16,}|arn:.*", re.DOTALL)  # ids as AIDA..., and ARNs, which do not tell an account
_PRINCIPALS = ("AWS", "Service", "Federated", "CanonicalUser")
_OF_POLICY = {"Version", "Id", "Statement"}
_OF_STATEMENT = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
# These conditions bind an AWS service to one account: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
_SOURCES = ("aws:sourceaccount", "aws:sourcearn")
_EXACT = ("StringEquals", "StringLike", "ArnEquals", "ArnLike")


class Grant(msgspec.Struct, frozen=True):
    """One grant in the settings. `what`: the setting; `who`: a principal, or an ARN.

    `foreign`: True if it belongs to another account, or to anybody; `accepted`: True if it is set because the user accepts it, or
    because it is the table's own.
    """

    what: str
    who: str
    foreign: bool
    accepted: bool


def grants(setup: Setup, account: str, *, accept: bool) -> list[Grant]:
    """Returns the grants that a plan from `plan` would set. `account` is the table's own."""
    found = []
    key = _key(setup)
    named = [(KEY, key)] if key else []
    named += [(step.what, who) for step in setup.steps for who in _named(step)]
    for what, who in named:
        foreign = is_foreign(who, account)
        found.append(Grant(what, who, foreign, accept or not foreign))
    return found


def guarded(setup: Setup, names: TableNames, account: str) -> Setup:
    """Returns the same plan, in which every setting that names another account is a to-do."""
    steps = [step for step in setup.steps if not _is_foreign_step(step, account)]
    left = [_left(step, account) for step in setup.steps if _is_foreign_step(step, account)]
    key = _key(setup)
    if key and is_foreign(key, account):
        wanted = setup.creation.request["SSESpecification"]
        usual = {name: value for name, value in wanted.items() if name != "KMSMasterKeyId"}
        request = {**setup.creation.request, "SSESpecification": usual}
        setup = msgspec.structs.replace(setup, creation=msgspec.structs.replace(setup.creation, request=request))
        left.insert(
            0, _left(SetupStep(KEY, DYNAMODB, "UpdateTable", {"TableName": names.name, "SSESpecification": wanted}), account)
        )
    return msgspec.structs.replace(setup, steps=steps, todo=[*left, *setup.todo])


def _left(step: SetupStep, account: str) -> Todo:
    who = ", ".join(dict.fromkeys(each for each in _named(step) if is_foreign(each, account)))
    own = f"the table's own ({account})" if account else "the table's own, which is not known"
    why = f"left off: it names {who}, which is not of {own}; --accept-settings sets it"
    return Todo(step.what, why, step.command)


def is_foreign(who: str, account: str) -> bool:
    """True if it belongs to an account other than this one, or to anybody. An AWS service, or an alias, belongs to none."""
    if "*" in who or who.startswith("?"):
        return True
    accounts = set(_ACCOUNT.findall(who))
    return bool(accounts) and accounts != {account}


def _is_foreign_step(step: SetupStep, account: str) -> bool:
    return any(is_foreign(who, account) for who in _named(step))


def _key(setup: Setup) -> str:
    return str(setup.creation.request.get("SSESpecification", {}).get("KMSMasterKeyId", ""))


def _named(step: SetupStep) -> list[str]:
    """Returns everybody and everything outside of the table that a step names."""
    if step.operation == "PutResourcePolicy":
        return _of_policy(str(step.request["Policy"]))
    return sorted(set(_arns(step.request)))


def _arns(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _arns(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arns(each)
    elif isinstance(value, str) and (value.startswith("arn:") or _ACCOUNT.fullmatch(value)):
        yield value


def _of_policy(text: str) -> list[str]:
    """Returns the principals that a policy lets in, and any other account in it; `?` and the reason if that is unclear."""
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
        json.loads(text, object_pairs_hook=_without_doubles)
    except UNDECODABLE:
        return ["? (the policy cannot be read)"]
    said = document.get("Statement")
    if not said or set(document) - _OF_POLICY:
        return ["? (the policy cannot be read)"]
    found = [who for each in (said if isinstance(said, list) else [said]) for who in _of_statement(each)]
    plain = msgspec.json.encode(document).decode()  # digits may be escaped in it
    mentioned = [each for each in _ACCOUNT.findall(plain) if not any(each in who for who in found)]
    return list(dict.fromkeys([*found, *mentioned]))


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError if a name stands twice: who reads the policy may take the one that we did not look at."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _of_statement(statement: Any) -> Sequence[str]:
    if not isinstance(statement, Mapping) or set(statement) - _OF_STATEMENT or statement.get("Effect") not in ("Allow", "Deny"):
        return ["? (a statement that cannot be read)"]
    if statement["Effect"] == "Deny":
        return []
    principal = statement.get("Principal")
    if "NotPrincipal" in statement or principal is None:
        return ["? (all but some)"]
    if isinstance(principal, str):
        return [principal]
    if not isinstance(principal, Mapping) or set(principal) - set(_PRINCIPALS):
        return ["? (principals that cannot be read)"]
    bound = _is_bound(statement.get("Condition"))
    return [who for kind, said in principal.items() for who in _principals(kind, said, bound=bound)]


def _principals(kind: str, said: Any, *, bound: bool) -> list[str]:
    """Returns the principals of a statement.

    `bound`: True if a service is let in only while it works for an account that the statement names.
    """
    every = [str(each) for each in (said if isinstance(said, list) else [said])]
    if kind == "Service":
        return every if bound else [f"? ({each}, whatever account it works for)" for each in every]
    if kind == "AWS":
        return [f"? ({each})" if _NOBODYS.fullmatch(each) and not _ACCOUNT.search(each) else each for each in every]
    return [f"? ({kind} {each})" for each in every]


def _is_bound(condition: Any) -> bool:
    """True if a condition names the account, or an ARN with an account, that a service must work for."""
    if not isinstance(condition, Mapping):
        return False
    tests = [test for operator, test in condition.items() if operator in _EXACT and isinstance(test, Mapping)]
    named = [said for test in tests for key, said in test.items() if str(key).lower() in _SOURCES]
    return any(all(map(_is_of_one, said if isinstance(said, list) else [said])) for said in named if said)


def _is_of_one(source: Any) -> bool:
    """True for an account's number, or for an ARN that states its account without a pattern before it."""
    before = str(source).split(":")[:5]
    return _ACCOUNT.fullmatch(before[-1]) is not None and len(before) in (1, 5) and not set("*?") & set("".join(before))
