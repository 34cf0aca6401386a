"""Checks the caller, the region and the clocks."""

from __future__ import annotations

from collections.abc import Callable

from backstream.errors import BackstreamError
from backstream.model.objectives import in_words
from backstream.model.transport import is_exposed
from backstream.operations.doctor import expected
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, look, ok, warning, wrong


def identity(patient: DoctorContext) -> list[Check]:
    """Checks the credentials, the region and the endpoints."""
    return [
        *look("credentials", lambda: _who(patient)),
        *look("region", lambda: ok("region", patient.region())),
        *look("endpoints", lambda: _endpoints(patient)),
    ]


def _endpoints(patient: DoctorContext) -> Check:
    endpoints = patient.endpoints()
    found = ", ".join(f"{name} {url}" for name, url in endpoints.items())
    exposed = [name for name, url in endpoints.items() if is_exposed(url)]
    if not exposed:
        return ok("endpoints", found)
    found = f"{found}: requests to {' and '.join(exposed)} are not encrypted; anyone on the way can read and change items"
    return warning("endpoints", found, "Use https in AWS_ENDPOINT_URL*.")


def _who(patient: DoctorContext) -> Check:
    found = patient.account.identity()
    return ok("credentials", f"{found['Arn']}, account {found['Account']}")


def clocks(patient: DoctorContext) -> list[Check]:
    """Compares this machine's clock with S3's."""
    if patient.place is None or patient.place.bucket is None:
        return []
    server_time = patient.place.bucket.server_time
    return look("clock beside S3", lambda: compare(patient, "clock beside S3", server_time))


def compare(patient: DoctorContext, name: str, ask: Callable[[], float]) -> Check:
    """Compares this machine's clock with a service that answers with its time."""
    before = patient.clock.now()
    theirs = ask()
    off = apart(before, patient.clock.now(), theirs)
    if off <= expected.CLOCK_NOTABLE:
        return ok(name, "the same time")
    found = f"this machine's clock is {in_words(off)} {'behind' if theirs > before else 'ahead'}"
    mend = "timedatectl set-ntp true"
    if off <= expected.CLOCK_WRONG:
        return warning(name, found, mend)
    return wrong(name, f"{found}; at 15 minutes AWS refuses every request, and moments such as `15m ago` are wrong", mend)


def apart(before: float, after: float, theirs: float) -> float:
    """Returns the least difference of two clocks in seconds. `theirs`: whole seconds, read between `before` and `after` of ours."""
    return max(0.0, before - (theirs + 1), theirs - after)


def account_of(patient: DoctorContext) -> str | None:
    """Returns the account's number; None if it is not available."""
    try:
        return str(patient.account.identity().get("Account"))
    except BackstreamError:
        return None  # said already, by the check of the credentials
