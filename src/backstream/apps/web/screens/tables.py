"""The vault: all tables, those with problems first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.site import Site
from backstream.errors import BackstreamError
from backstream.model import moment, prices
from backstream.model.changes.change import MICROS
from backstream.model.objectives import in_words
from backstream.operations.inspect.readers import too_many
from backstream.operations.inspect.status import Status

READERS = 4
STANDARD = 0.023  # dollars per GB and month, S3 Standard: https://aws.amazon.com/s3/pricing/
MONTH = 30 * 86_400
LATE = 900  # seconds of lag from which on it is a problem


class TableLine(msgspec.Struct, frozen=True):
    """One table. `problems`: descriptions, the worst first; `status`: None if it cannot be read."""

    name: str
    problems: list[str]
    status: Status | None
    dollars: float | None = None


async def vault(site: Site, request: Request) -> Response:
    """`GET /`."""

    def read(token: StopToken) -> list[TableLine]:
        held = site.held(token)
        with ThreadPoolExecutor(READERS, thread_name_prefix="status") as pool:
            rows = list(pool.map(lambda name: _row(site, token, name), held.names()))
        return sorted(rows, key=lambda each: (not each.problems, each.name))

    rows = await site.read(request, read)
    return site.page(request, "tables.html", rows=rows, commands=[site.command("status")])


def _row(site: Site, token: StopToken, name: str) -> TableLine:
    try:
        found = site.backup(token, name).status()
    except BackstreamError as error:
        return TableLine(name, [site.privacy.error(error)[0]], None)
    return TableLine(name, problems(found), found, _dollars(found, site.clock.now()))


def problems(found: Status) -> list[str]:
    """Describes the problems for an operator."""
    crowded = too_many(found.readers)
    return [
        *(f"damaged: {len(found.damaged):,} second versions, which are not read" for _ in range(bool(found.damaged))),
        *(f"hidden by delete markers: {len(found.hidden):,} objects" for _ in range(bool(found.hidden))),
        *(f"gap: {gap.since} to {gap.until}: {gap.reason}" for gap in found.gaps),
        *(["no restore of the whole table is exact yet"] if not found.ranges else []),
        *found.unproven,
        *_lag(found),
        *([f"{found.foreign:,} foreign objects in the change log"] if found.foreign else []),
        *([crowded] if crowded else []),
        *found.unseen,
        *_drill(found),
    ]


def _lag(found: Status) -> list[str]:
    if found.lag_seconds is None:
        return ["nothing is proven: neither a tail nor the witness has read the stream"]
    return [f"lag: nothing is proven for {in_words(found.lag_seconds)}"] if found.lag_seconds > LATE else []


def _drill(found: Status) -> list[str]:
    if found.last_drill is None:
        return ["no restore was ever tried: there was no drill"]
    return [] if found.last_drill.passed else [f"the last drill failed: {found.last_drill.began}"]


def _dollars(found: Status, now: float) -> float | None:
    """Returns the monthly cost of the change log: its storage, and its requests at the pace of the window; None if unknown."""
    storage = found.log_bytes / 1e9 * STANDARD
    pace = _changes_a_month(found, now)
    capture = next((each.capture for each in found.costs if each.layout == found.layout), None)
    return None if pace is None or capture is None else storage + pace * capture / prices.MILLION


def _changes_a_month(found: Status, now: float) -> float | None:
    from_ = found.ranges[0].since if found.ranges else None
    if from_ is None:
        return None
    return found.changes * MONTH / max(86_400.0, now - moment.parse_iso_micros(from_) / MICROS)
