"""A table's items as of a second, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.web import addresses, command_lines, states, values
from backstream.apps.web.background.jobs import BackgroundTask
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.screens.plan import form_url
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site, asked, field, go_to
from backstream.apps.web.states import StateCopy
from backstream.errors import BackstreamError, Failed, OutsideWindow
from backstream.model import moment, moment_arguments
from backstream.model.values.key_arguments import parse_partition
from backstream.operations.restore.selection import TenantFilter

SOON = 1.5  # seconds that a page waits for a state, before it says that it is being worked out
ATTRIBUTES = 8  # in the list; the item's own screen has all


class Item(msgspec.Struct, frozen=True):
    """One row. `why`: why its image cannot be read, empty if it can."""

    key: str
    url: str
    cells: list[tuple[str, str]]
    more: int
    why: str


async def choose(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/state`: a second, a partition and a tenant; the last two are kept under an id."""
    name = request.path_params["table"]
    given = {
        "at": field(request, "at").strip(),
        "part": site.privacy.remember(field(request, "partition")),
        "ten": site.privacy.remember(field(request, "tenant")),
    }
    return go_to(_address(name, {each: value for each, value in given.items() if value}))


def _address(table: str, query: Mapping[str, str]) -> str:
    return addresses.at(f"/t/{quote(table)}/state?{urlencode(query)}")


async def state(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/state?at=MOMENT`."""
    name = request.path_params["table"]
    partition, tenant = (site.privacy.recall(asked(request, each)) for each in ("part", "ten"))

    def begin(token: StopToken) -> tuple[int, BackgroundTask]:
        vault = site.vault(token, name)
        now = site.clock.now()
        at = moment_arguments.parse(asked(request, "at"), now) if asked(request, "at") else (vault.window(now).until or int(now))
        if at > now:
            raise OutsideWindow(f"{moment.iso(at)} is in the future", hint=str(vault.window(now)))
        site.privacy.check_filters(vault.catalog, None, (), tenant or None)
        if tenant:
            TenantFilter(vault, tenant)  # refuses one where the table is not split by tenant
        job = site.states.of(name, at, site.config.memory, lambda each: site.vault(each.token, name))
        job.finished.wait(SOON)
        return at, job

    at, job = await site.read(request, begin)
    here = {"at": moment.iso(at), "part": asked(request, "part"), "ten": asked(request, "ten")}
    query = {each: value for each, value in here.items() if value}
    words = ["restore", name, "--at", moment.iso(at), "--to-file", f"{name}.ndjson"]
    words += command_lines.filters(ChangeFilters(partition=partition, tenant=tenant))
    if job.error is not None:
        raise job.error
    if job.defect:
        raise Failed(f"the state could not be computed: {job.defect}, a defect of Backstream", hint="Please report it.")
    if not isinstance(job.result, StateCopy):
        return site.page(
            request, "working.html", table=name, job=job, what=f"{name} at {moment.iso(at)}", commands=[site.command(*words)]
        )
    found: StateCopy = job.result
    items, after = await site.read(request, lambda token: _page(site, token, request, found, partition, tenant))
    following = _address(name, {**query, "after": site.privacy.remember(after)}) if after else ""
    return site.page(
        request,
        "state.html",
        table=name,
        at=moment.iso(at),
        found=found,
        items=items,
        partition=partition,
        tenant=tenant,
        next=following,
        first=_address(name, query) if asked(request, "after") else "",
        notes=site.privacy.words(found.notes),
        unread=site.privacy.words(found.unread),
        plan=form_url(site, name, moment.iso(at), ChangeFilters(partition=partition, tenant=tenant)),
        commands=[site.command(*words, *command_lines.allow_gap(needed=found.gap))],
    )


def _page(site: Site, token: StopToken, request: Request, found: StateCopy, partition: str, tenant: str) -> tuple[list[Item], str]:
    name = request.path_params["table"]
    vault = site.vault(token, name)
    beginning = parse_partition(vault.catalog.key_schema, partition) if partition else b""
    after = site.privacy.recall(asked(request, "after")).encode()
    page = states.page(vault, found, after, beginning, tenant or None)
    return [_item(site, name, key, image) for key, image in page.items], page.after.decode()


def _item(site: Site, table: str, key: bytes, image: bytes | BackstreamError | None) -> Item:
    url = site.privacy.item_url(table, key)
    if isinstance(image, BackstreamError):
        return Item(values.key_words(key), url, [], 0, site.privacy.error(image)[0])
    names = msgspec.json.decode(key, type=dict[str, msgspec.Raw])
    cells = [(name, values.cell(each)) for name, each in site.privacy.attributes(image).items() if name not in names]
    return Item(values.key_words(key), url, cells[:ATTRIBUTES], max(0, len(cells) - ATTRIBUTES), "")
