"""The vault: its groups and its tables, the worst first, a page at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.group_lines import GroupLine, TableLine, group_lines
from backstream.apps.web.site import Site, asked, count_in
from backstream.apps.web.table_looks import AT_ONCE, LOOKING, TableLook
from backstream.errors import BackstreamError
from backstream.model import moment
from backstream.model.objectives import in_words
from backstream.operations.inspect.readers import too_many
from backstream.operations.inspect.status import Status

READERS = 4
PAGE = 50  # tables of a page
MOST_PAGES = 10**6
LATE = 900  # seconds of lag from which on it is a problem


async def vault(site: Site, request: Request) -> Response:
    """`GET /`."""

    began = site.clock.now()

    def read(token: StopToken) -> tuple[list[str], list[TableLook], list[GroupLine]]:
        held = site.held(token)
        names = site.looks.names(held.names, began)

        def look(name: str) -> None:
            if site.clock.now() - began <= LOOKING:
                site.looks.keep(_row(site, token, name), began)

        with ThreadPoolExecutor(READERS, thread_name_prefix="status") as pool:
            list(pool.map(look, site.looks.due(names, began)))
        known = site.looks.known(names, began)
        return names, known, group_lines(held, [each.line for each in known], lambda error: site.privacy.error(error)[0])

    names, known, groups = await site.read(request, read)
    seen = {each.line.name for each in known}
    last = max(0, (len(known) - 1) // PAGE)
    page = min(count_in(asked(request, "page"), MOST_PAGES), last)
    commands = [site.command("status"), *(site.command("status", "--group", each.name) for each in groups)]
    return site.page(
        request,
        "tables.html",
        shown=[
            (each.line, "" if each.at == began else moment.iso(int(each.at))) for each in known[page * PAGE : (page + 1) * PAGE]
        ],
        first=page * PAGE + 1,
        page=page,
        previous=f"?page={page - 1}" if page else "",
        following=f"?page={page + 1}" if page < last else "",
        total=len(names),
        looked=len(known),
        unseen=[name for name in names if name not in seen],
        at_once=AT_ONCE,
        groups=groups,
        commands=commands,
    )


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
