"""A table: its timeline, and the changes of a window."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.web import addresses, command_lines, selection
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.certain import window_has_gap
from backstream.apps.web.differences import Line, lines
from backstream.apps.web.history import kinds, listing, timeline, timeline_chart
from backstream.apps.web.history.spans import ShownWindow, span_of
from backstream.apps.web.history.timeline import Bar, Counted
from backstream.apps.web.history.timeline_chart import Mark
from backstream.apps.web.screens.tables import problems
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site, asked, every, field, go_to
from backstream.apps.web.values import key_words
from backstream.errors import UsageError
from backstream.model import moment, moment_arguments
from backstream.model.changes.change import MICROS
from backstream.operations.changes import SeenChange
from backstream.operations.inspect.actors import ActorClaim
from backstream.operations.inspect.status import Status
from backstream.vault.table_vault import TableVault

DRILLS = 30


class View(msgspec.Struct, frozen=True):
    """The contents of the table's page besides its status."""

    span: ShownWindow
    step: int
    bars: list[Bar]
    marks: list[Mark]
    about: int
    named: bool
    gap: bool


class ChangeRow(msgspec.Struct, frozen=True):
    """One line of the list of changes."""

    time: str
    event: str
    actor: str
    sequence: str
    key: str
    url: str
    lines: list[Line]
    note: str


def base_url(table: str, span: ShownWindow, sel: str, **more: str) -> str:
    """Returns the address of a window of a table."""
    return addresses.at(f"/t/{quote(table)}?{urlencode(span.query(sel=sel, **more))}")


def _below_url(table: str, screen: str, span: ShownWindow, sel: str, **more: str) -> str:
    return addresses.at(f"/t/{quote(table)}/{screen}?{urlencode(span.query(sel=sel, **more))}")


def reach_of(counted: list[Counted]) -> tuple[int, int] | None:
    """Returns the seconds of the first and the last change."""
    return (min(each.since for each in counted), max(each.until for each in counted)) if counted else None


def view_of(site: Site, vault: TableVault, since: str, until: str) -> View:
    """Returns the timeline of a window, from the names of the log's objects."""
    found = timeline.counted(vault, site.names)
    span = span_of(vault, since, until, site.clock.now(), reach_of(found))
    step = timeline.step_for(span.since, span.until)
    shown = timeline.bars(found, span.since, span.until, step)
    named = all(each.named for each in found if each.since <= span.until and each.until > span.since)
    gap = window_has_gap(vault, span.window, site.clock.now())
    return View(span, step, shown, _marks(site, vault), round(sum(each.count for each in shown)), named, gap)


def _marks(site: Site, vault: TableVault) -> list[Mark]:
    gaps = [Mark("gap", each.since, each.until, f"gap: {each}") for each in vault.window(site.clock.now()).gaps]
    bases = [
        Mark("base", each.end, each.end, f"base backup, read {moment.iso(each.begin)} to {moment.iso(each.end)}")
        for each in vault.bases.complete()
    ]
    drills = [
        Mark("drill", second, second, f"drill of {each.at or each.began}: {'passed' if each.passed else 'failed'}")
        for each in vault.drills.newest(DRILLS)
        if (second := _second(each.at)) is not None
    ]
    return [*gaps, *bases, *drills]


def _second(text: str) -> int | None:
    try:
        return moment.parse_iso_micros(text) // MICROS
    except ValueError:
        return None


async def table(site: Site, request: Request) -> Response:
    """`GET /t/TABLE`: first what the names of the log's objects tell; the rest is fetched by the page."""
    name, sel = request.path_params["table"], asked(request, "sel")

    def read(token: StopToken) -> View:
        return view_of(site, site.vault(token, name), asked(request, "from"), asked(request, "to"))

    view = await site.read(request, read)
    chosen = selection.recalled(sel, site.privacy)
    span = view.span
    query = urlencode(span.query(sel=sel))
    return site.page(
        request,
        "table.html",
        table=name,
        view=view,
        chart=timeline_chart.chart(view.bars, span.since, span.until, view.marks),
        chosen=chosen,
        events=selection.EVENTS,
        sel=sel,
        query=query,
        moves=_moves(name, span, sel),
        rows=[(each, base_url(name, ShownWindow(each.since - 1, each.until), sel)) for each in view.bars if round(each.count)],
        can_count=view.about <= kinds.MOST,
        most=kinds.MOST,
        commands=[_command(site, name, span, chosen, "--summary", gap=view.gap), site.command("status", name)],
    )


async def facts(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/facts`: the recovery window and what an operator should look at, which takes longer than the timeline."""
    name = request.path_params["table"]
    status: Status = await site.read(request, lambda token: site.backup(token, name).status())
    return site.page(
        request,
        "parts/facts.html" if asked(request, "part") else "facts.html",
        table=name,
        status=status,
        problems=problems(status),
        commands=[site.command("status", name)],
    )


def _moves(name: str, span: ShownWindow, sel: str) -> list[tuple[str, str]]:
    moves = [
        ("Earlier", span.moved(-0.8, 1.0)),
        ("Later", span.moved(0.8, 1.0)),
        ("Zoom in", span.moved(0.0, 0.25)),
        ("Zoom out", span.moved(0.0, 4.0)),
    ]
    if span.first is not None and span.last is not None:
        moves.append(("Everything", ShownWindow(span.first - 1, max(span.last, span.first) + 1)))
    return [(words, base_url(name, each, sel)) for words, each in moves]


def _command(site: Site, name: str, span: ShownWindow, chosen: ChangeFilters, *more: str, gap: bool) -> str:
    """Returns the command of a window. `gap`: not all of its changes are known."""
    window = command_lines.window(moment.iso(span.since), moment.iso(span.until))
    return site.command("changes", name, *window, *command_lines.filters(chosen), *more, *command_lines.allow_gap(needed=gap))


async def choose(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/choose`: the filters of a form, kept under an id, so that none of their values stands in an address."""
    name = request.path_params["table"]
    chosen = selection.of_form(lambda each: field(request, each), lambda each: every(request, each))

    def check(token: StopToken) -> None:
        chosen.criteria(site.vault(token, name), site.privacy)
        for each in ("from", "to"):
            if field(request, each):
                moment_arguments.parse(field(request, each), site.clock.now())

    await site.read(request, check)
    given = {"from": field(request, "from"), "to": field(request, "to"), "sel": selection.kept(chosen, site.privacy)}
    query = urlencode({each: value for each, value in given.items() if value})
    where = "plan" if field(request, "then") == "plan" else ""
    return go_to(addresses.at(f"/t/{quote(name)}{'/' if where else ''}{where}?{query}"))


async def changes(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/changes`: a page of changes; `part=1`: without the frame of a page, for the table's page."""
    name, sel = request.path_params["table"], asked(request, "sel")
    chosen = selection.recalled(sel, site.privacy)

    def read(token: StopToken) -> tuple[ShownWindow, listing.ChangePage, list[ChangeRow], bool]:
        vault = site.vault(token, name)
        criteria = chosen.criteria(vault, site.privacy)
        found = timeline.counted(vault, site.names)
        span = span_of(vault, asked(request, "from"), asked(request, "to"), site.clock.now(), reach_of(found))
        cursor = site.privacy.recall(asked(request, "after"))
        page = listing.page(vault, span.window, criteria, cursor, found, site.clock, token, site.config.memory)
        rows = [_row(site, vault, name, each.seen, each.by) for each in page.changes]
        return span, page, rows, window_has_gap(vault, span.window, site.clock.now())

    span, page, rows, gap = await site.read(request, read)
    after = site.privacy.remember(page.after)
    return site.page(
        request,
        "parts/changes.html" if asked(request, "part") else "changes.html",
        table=name,
        span=span,
        rows=rows,
        chosen=chosen,
        searched=page.searched,
        changes_notes=site.privacy.words(page.notes),
        next=_below_url(name, "changes", span, sel, after=after) if after else "",
        on=_below_url(name, "changes", ShownWindow(page.searched, span.until), sel) if page.searched else "",
        back=base_url(name, span, sel),
        plan=_below_url(name, "plan", span, sel),
        commands=[_command(site, name, span, chosen, gap=gap)],
    )


def _row(site: Site, vault: TableVault, table: str, seen: SeenChange, by: ActorClaim | None) -> ChangeRow:
    known = site.privacy.claims(vault.catalog, [] if by is None else [by])
    before, after = (site.privacy.attributes(each) for each in (seen.old, seen.new))
    return ChangeRow(
        time=moment.iso_micros(seen.micros),
        event=seen.event,
        actor=f"{known[0].actor} ({known[0].source})" if known else "",
        sequence=seen.sequence if seen.is_numbered else "",
        key=key_words(seen.key),
        url=site.privacy.item_url(table, seen.key),
        lines=[] if seen.doubt else lines(before, after),
        note=next(iter(site.privacy.words([seen.doubt] if seen.doubt else [])), ""),
    )


async def counts(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/kinds`: the timeline by event, and the busiest keys, counted change by change."""
    name, sel = request.path_params["table"], asked(request, "sel")

    def read(token: StopToken) -> tuple[ShownWindow, list[Mark], kinds.Kinds, list[tuple[str, str, int]], bool]:
        vault = site.vault(token, name)
        found = timeline.counted(vault, site.names)
        span = span_of(vault, asked(request, "from"), asked(request, "to"), site.clock.now(), reach_of(found))
        if timeline.about(found, span.since, span.until) > kinds.MOST:
            raise UsageError(f"more than {kinds.MOST:,} changes are not counted one by one here", hint="Choose a shorter window.")
        step = timeline.step_for(span.since, span.until)
        counted = kinds.kinds(vault, span.window, step, token, site.config.memory)
        busiest = [(key_words(key), site.privacy.item_url(name, key), count) for key, count in counted.busiest]
        return span, _marks(site, vault), counted, busiest, window_has_gap(vault, span.window, site.clock.now())

    span, marks, counted, busiest, gap = await site.read(request, read)
    return site.page(
        request,
        "parts/kinds.html" if asked(request, "part") else "kinds.html",
        table=name,
        counted=counted,
        busiest=busiest,
        chart=timeline_chart.chart(counted.bars, span.since, span.until, marks),
        bars=[(each, base_url(name, ShownWindow(each.since - 1, each.until), sel)) for each in counted.bars if each.count],
        unread=site.privacy.words(counted.unread),
        back=base_url(name, span, sel),
        commands=[_command(site, name, span, ChangeFilters(), "--summary", gap=gap)],
    )
