"""The findings of `blame`: for each change the call that made it, or why none can be named."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from backstream.model import moment
from backstream.model.calls.attribution import TOLERANCE, AttributionStatus, AttributionVerdict, Made
from backstream.model.calls.cloudtrail import Call
from backstream.vault.attribution.findings import Caller, KeptFinding

DELIVERY = 900  # seconds within which CloudTrail delivers most events: AWS's word is "about 15 minutes"


class Outcome(enum.StrEnum):
    """The result for a change.

    MATCHED: one call made it. AMBIGUOUS: several may have. NONE: no call fits, and everything of that time was delivered.
    UNDELIVERED: no call fits, and its event may not have been delivered. DYNAMODB: DynamoDB itself made it, as the stream says.
    """

    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    NONE = "none"
    UNDELIVERED = "undelivered"
    DYNAMODB = "dynamodb"


class BlameFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change and its calls. `time`: ISO 8601, UTC; `key`: DynamoDB JSON.

    `actor`: who made it; None if that is not certain. `why`: the reason if it is not one call. `calls`: the call that made it, or
    those that may have, the first 50 of `fitting`. `settled`: True if nothing that could contradict it is undelivered or unread.
    """

    time: str
    sequence: str
    event: str
    key: msgspec.Raw
    status: Outcome
    actor: str | None
    actor_source: str | None
    settled: bool
    why: str = ""
    calls: Sequence[Caller] = ()
    fitting: int = 0


class UnreadableFile(msgspec.Struct, frozen=True):
    """A CloudTrail file that cannot be read, or not to its end, and why."""

    file: str
    why: str


class Blamed(msgspec.Struct, rename={"since": "from", "until": "to"}):
    """The sums of a `blame`. Times are ISO 8601, UTC.

    `changes`: the window's changes; each is counted once in `matched`, `ambiguous`, `none`, `undelivered` or `dynamodb`; `files`:
    the files that were read; `events`: the table's own events in them, from calls that wrote; `newest_delivery`: None if nothing
    was delivered; `annotated`: findings that were written beside the log; `known`: findings that existed already; `notes`: notes
    about the certainty.
    """

    table: str
    since: str
    until: str
    cloudtrail: str
    changes: int = 0
    matched: int = 0
    ambiguous: int = 0
    none: int = 0
    undelivered: int = 0
    dynamodb: int = 0
    files: int = 0
    events: int = 0
    newest_delivery: str | None = None
    annotated: int = 0
    known: int = 0
    unreadable: list[UnreadableFile] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    seconds: float = 0.0

    def count(self, outcome: Outcome) -> None:
        """Counts one more change with this outcome."""
        self.changes += 1
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)


class Evidence(msgspec.Struct, frozen=True):
    """The extent of CloudTrail's files.

    `delivered`: the newest delivery (seconds), None for none; `whole`: True if every file could be read.
    """

    delivered: int | None
    whole: bool
    now: float

    def settles(self, second: int) -> bool:
        """True if nothing that could contradict a finding on a change of that second is undelivered or unread."""
        return self.whole and self.delivered is not None and self.delivered >= second + TOLERANCE + DELIVERY


def finding(made: Made, key: bytes, actor: str | None, verdict: AttributionVerdict, evidence: Evidence) -> BlameFinding:
    """Returns the finding on a change. `actor`: from the stream's own record."""
    settled = evidence.settles(made.second)
    calls = [caller(call) for call in verdict.calls]
    outcome, who, why = _judged(made, actor, verdict, evidence)
    source = None if who is None else "stream" if outcome is Outcome.DYNAMODB else "cloudtrail"
    time = moment.iso_micros(made.micros)
    return BlameFinding(
        time, made.sequence, made.event, msgspec.Raw(key), outcome, who, source, settled, why, calls, verdict.fitting
    )


def _judged(made: Made, actor: str | None, verdict: AttributionVerdict, evidence: Evidence) -> tuple[Outcome, str | None, str]:
    if actor is not None:
        return Outcome.DYNAMODB, actor, "DynamoDB itself made it, as the stream says: time to live is no call"
    if verdict.status is AttributionStatus.MATCHED:
        return Outcome.MATCHED, verdict.calls[0].identity.actor or None, ""
    if verdict.status is AttributionStatus.AMBIGUOUS:
        same = agreed(verdict)
        return Outcome.AMBIGUOUS, None if same is None else same.identity.actor, _several(verdict, same)
    if evidence.settles(made.second):
        return Outcome.NONE, None, "no call fits: data events of the table were off, or leave out calls of this kind"
    if not evidence.whole and evidence.delivered is not None and evidence.delivered >= made.second + TOLERANCE + DELIVERY:
        return Outcome.UNDELIVERED, None, "no call fits among the events that could be read"
    return Outcome.UNDELIVERED, None, _undelivered(made, evidence)


def agreed(verdict: AttributionVerdict) -> Call | None:
    """Returns one of the calls that fit, if all of them were made by the same principal; else None."""
    if verdict.unkeyed or verdict.incomplete or not verdict.calls or verdict.fitting > len(verdict.calls):
        return None
    identities = {(call.identity.actor, call.identity.issuer) for call in verdict.calls}
    return verdict.calls[0] if len(identities) == 1 and verdict.calls[0].identity.actor else None


def _several(verdict: AttributionVerdict, same: Call | None) -> str:
    if not verdict.fitting:
        return "no call names the item, and there are calls at that time whose events do not tell which items they wrote"
    fit = "1 call fits" if verdict.fitting == 1 else f"{verdict.fitting:,} calls fit"
    if same is not None:
        return f"{fit}, all of them by one principal"
    if verdict.incomplete:
        return f"{fit}, of changes that are more than the calls: a call is not in CloudTrail, so none can be told"
    if verdict.unkeyed:
        return f"{fit}, and calls at that time whose events do not tell which items they wrote"
    return f"{fit}, and nothing tells which of them made it"


def _undelivered(made: Made, evidence: Evidence) -> str:
    newest = "none was read" if evidence.delivered is None else f"the newest that was read is of {moment.iso(evidence.delivered)}"
    if evidence.now < made.second + DELIVERY:
        return f"not delivered yet: a trail delivers within about 15 minutes, {newest}"
    return f"no delivery of that time was read, {newest}: the folder ends there, or the trail has stopped"


def caller(call: Call) -> Caller:
    """Returns a call in the form that is shown and kept."""
    who = call.identity
    return Caller(
        event_time=moment.iso(call.second),
        event_name=call.operation,
        arn=who.arn,
        type=who.type,
        session_issuer=who.issuer,
        invoked_by=who.invoked_by,
        access_key_id=who.access_key_id,
        principal_id="" if who.arn else who.principal_id,
        source_ip_address=call.source_address,
        user_agent=call.user_agent,
        request_id=call.request_id,
        event_id=call.event_id,
    )


def kept(made: Made, verdict: AttributionVerdict, evidence: Evidence) -> KeptFinding | None:
    """Returns the part of a finding that is kept; None if no call fits."""
    if verdict.status is AttributionStatus.NONE:
        return None
    certain = verdict.calls[0] if verdict.status is AttributionStatus.MATCHED else None
    named = certain or agreed(verdict)
    who = None if named is None else named.identity
    names = () if who is None else who.names if certain else tuple(each for each in (who.actor, who.arn, who.issuer) if each)
    return KeptFinding(
        made.stream,
        made.sequence,
        made.micros,
        actor=None if who is None else who.actor or None,
        names=tuple(dict.fromkeys(names)),
        call=None if certain is None else caller(certain),
        fitting=max(1, verdict.fitting),
        settled=evidence.settles(made.second),
        delivered=evidence.delivered or 0,
    )
