"""The vault: its groups and all tables, the worst first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.group_lines import GroupLine, TableLine, group_lines
from backstream.apps.web.site import Site
from backstream.errors import BackstreamError
from backstream.model.objectives import in_words
from backstream.operations.inspect.readers import too_many
from backstream.operations.inspect.status import Status

READERS = 4
LATE = 900  # seconds of lag from which on it is a problem


async def vault(site: Site, request: Request) -> Response:
    """`GET /`."""

    def read(token: StopToken) -> tuple[list[TableLine], list[GroupLine]]:
        held = site.held(token)
        with ThreadPoolExecutor(READERS, thread_name_prefix="status") as pool:
            rows = list(pool.map(lambda name: _row(site, token, name), held.names()))
        rows.sort(key=lambda each: each.order)
        return rows, group_lines(held, rows, lambda error: site.privacy.error(error)[0])

    rows, groups = await site.read(request, read)
    commands = [site.command("status"), *(site.command("status", "--group", each.name) for each in groups)]
    return site.page(request, "tables.html", rows=rows, groups=groups, commands=commands)


def _row(site: Site, token: StopToken, name: str) -> TableLine:
    try:
        found = site.backup(token, name).status()
    except BackstreamError as error:
        return TableLine(name, [site.privacy.error(error)[0]], None)
    return TableLine(name, problems(found), found)


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
