"""Plans: choose the changes to undo, see them row by row, download the plan, and, if allowed, execute it."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from backstream.apps.web import addresses, differences, plans, selection, values
from backstream.apps.web.background.jobs import RUNNING, BackgroundTask
from backstream.apps.web.plans import PlanFile, PlanWish, RestoreWish
from backstream.apps.web.screens.forms import Deed, check_deed
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site, asked, count_in, every, field, go_to
from backstream.errors import Failed, NotFound, Refused, UsageError
from backstream.model import moment, moment_arguments
from backstream.model.changes.merge import Merge, MergeVerdict
from backstream.operations.revert import OnConflict, PlanRow
from backstream.operations.revert.plan_file import FAILED

MOMENT = "MOMENT"  # in a command, in the place of one that is not chosen yet
REASONS = {MergeVerdict.CONFLICT: "others have changed the same since", MergeVerdict.GONE: "somebody has deleted it since"}


class PlannedRow(msgspec.Struct, frozen=True):
    """One row of a plan. `lines`: its changes; `reason`: why it is left alone."""

    key: str
    url: str
    action: str
    verdict: str
    reason: str
    lines: list[differences.Line]


def form_url(site: Site, table: str, since: str, chosen: ChangeFilters) -> str:
    """Returns the address of the form for a plan that goes back to a second."""
    query = {"from": since, "to": "now", "sel": selection.kept(chosen, site.privacy)}
    return addresses.at(f"/t/{quote(table)}/plan?{urlencode({each: value for each, value in query.items() if value})}")


async def form(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/plan`: the form, filled with the window and the filters of the address."""
    name = request.path_params["table"]
    chosen = selection.recalled(asked(request, "sel"), site.privacy)
    window = await site.read(request, lambda token: site.vault(token, name).window(site.clock.now()))
    since, until = asked(request, "from"), asked(request, "to") or "now"
    words = PlanWish(name, since or MOMENT, until, chosen).words
    return site.page(
        request,
        "plan_form.html",
        table=name,
        since=since,
        until=until,
        chosen=chosen,
        events=selection.EVENTS,
        window=str(window),
        durable="" if window.until is None else moment.iso(window.until),
        merges=list(Merge),
        conflicts=list(OnConflict),
        commands=[site.command(*words, "--plan", f"{name}-plan.ndjson")],
    )


async def make(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/plan`: make a plan in the background; nothing of the table is written."""
    name = request.path_params["table"]
    wish = PlanWish(
        table=name,
        since=_moment(site, field(request, "from")),
        until=_until(site, field(request, "to")),
        chosen=selection.of_form(lambda each: field(request, each), lambda each: every(request, each)),
        merge=_one_of(Merge, field(request, "merge")),
        on_conflict=_one_of(OnConflict, field(request, "on_conflict")),
        allow_gap=bool(field(request, "allow_gap")),
    )

    await site.read(request, lambda token: wish.chosen.criteria(site.vault(token, name), site.privacy))
    job = BackgroundTask("plan", name, wish, site.clock, site.command(*wish.words, "--plan", f"{name}-plan.ndjson"))
    job.look()
    site.jobs.start(job, lambda each: plans.plan(site, wish, each))
    return go_to(addresses.at(f"/plans/{job.id}"))


async def make_new(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/restore`: see in the background what a restore into a new table would do."""
    name = request.path_params["table"]
    at, to = _moment(site, field(request, "at")), field(request, "new").strip()
    wish = RestoreWish(name, at, to, allow_gap=bool(field(request, "allow_gap")))
    job = BackgroundTask("plan", name, wish, site.clock, site.command(*wish.words, "--dry-run"))
    job.look()
    site.jobs.start(job, lambda each: plans.try_restore(site, wish, each, dry_run=True))
    return go_to(addresses.at(f"/plans/{job.id}"))


def _moment(site: Site, text: str) -> str:
    """Returns a moment as an absolute time, so that it means the same later on."""
    return moment.iso(moment_arguments.parse(text, site.clock.now()))


def _until(site: Site, text: str) -> str:
    return "now" if text.strip().lower() in ("", "now") else _moment(site, text)


_Word = TypeVar("_Word", Merge, OnConflict)


def _one_of(kind: type[_Word], text: str) -> _Word:
    try:
        return kind(text) if text else next(iter(kind))
    except ValueError as error:
        raise UsageError(f"not one of {', '.join(kind)}: {text[:40]!r}") from error


async def show(site: Site, request: Request) -> Response:
    """`GET /plans/ID`."""
    job = site.job(request.path_params["plan"], "plan")
    job.look()
    if job.status == RUNNING:
        await site.read(request, lambda _: job.finished.wait(1.0))
    if job.status == RUNNING:
        return site.page(request, "working.html", table=job.table, job=job, what=f"a plan for {job.table}", commands=[job.command])
    if job.error is not None:
        return site.failed(job.error)
    if job.defect:
        raise Failed(f"the plan could not be made: {job.defect}, a defect of Backstream", hint="Please report it.")
    if job.result is None:
        raise NotFound(f"this plan was not made: it was {job.status}", hint="Make it anew.")
    if isinstance(job.subject, RestoreWish):
        wish = job.subject
        return site.page(
            request,
            "restore_plan.html",
            table=job.table,
            job=job,
            wish=wish,
            report=job.result,
            **_deeds(site, job.result.warnings),
            commands=[site.command(*wish.words)],
        )
    return await _of_rows(site, request, job, job.result)


async def _of_rows(site: Site, request: Request, job: BackgroundTask, made: PlanFile) -> Response:
    first = count_in(asked(request, "first"), made.rows)
    rows = await site.read(request, lambda _: [_row(site, job.table, each) for each in plans.page(made, first)])
    here, following = addresses.at(f"/plans/{job.id}"), first + len(rows)
    return site.page(
        request,
        "plan.html",
        table=job.table,
        job=job,
        wish=job.subject,
        made=made,
        report=made.report,
        rows=rows,
        first=first,
        next=f"{here}?first={following}" if following < made.rows else "",
        previous=f"{here}?first={max(0, first - plans.SIZE)}" if first else "",
        download=f"{here}/file",
        **_deeds(site, made.report.warnings),
        commands=[job.command, _apply(site, job.table, made), site.command(*job.subject.words, *_most(made))],
    )


def _most(made: PlanFile) -> list[str]:
    """Returns the argument without which a plan that deletes most of a table is refused."""
    needed = made.report.needs_expect_deletes
    return [] if needed is None else ["--expect-deletes", str(needed)]


def _apply(site: Site, table: str, made: PlanFile) -> str:
    return site.command("revert", table, "--apply", f"{table}-plan.ndjson", *_most(made))


def _deeds(site: Site, warnings: object) -> dict[str, object]:
    return {
        "may_download": not site.privacy.guards,
        "warnings": site.privacy.words(warnings) if isinstance(warnings, (list, tuple)) else [],
    }


def _row(site: Site, table: str, row: PlanRow) -> PlannedRow:
    live, after = (site.privacy.attributes(bytes(each)) for each in (row.live, row.after))
    key = bytes(row.key)
    return PlannedRow(
        key=values.key_words(key),
        url=site.privacy.item_url(table, key),
        action=row.action,
        verdict=row.verdict,
        reason=_reason(site, row),
        lines=differences.lines(live, after) if row.is_written else [],
    )


def _reason(site: Site, row: PlanRow) -> str:
    """Returns why a row is left alone; if attributes are hidden, without the words that may name them."""
    if not row.reason:
        return ""
    if not site.privacy.guards:
        return row.reason
    return next(iter(site.privacy.words([row.reason]))) if row.verdict == FAILED else REASONS.get(MergeVerdict(row.verdict), "")


async def download(site: Site, request: Request) -> Response:
    """`GET /plans/ID/file`: the plan, as `revert --apply` takes it. Refused where attributes are hidden: it holds whole items."""
    job = site.job(request.path_params["plan"], "plan")
    if site.privacy.guards:
        raise Refused(
            "a plan holds whole items, and attributes of them are hidden or masked here", hint="The command makes the same plan."
        )
    if not isinstance(job.result, PlanFile):
        raise NotFound("this plan has no file")
    return FileResponse(job.result.path, media_type="application/x-ndjson", filename=f"{job.table}-plan.ndjson")


async def run(site: Site, request: Request) -> Response:
    """`POST /plans/ID/run`: carry it out, where that is allowed and the table's name was typed."""
    job = site.job(request.path_params["plan"], "plan")
    wish = job.subject
    check_deed(site, request, Deed(wish.to if isinstance(wish, RestoreWish) else wish.table))
    if job.result is None:
        raise NotFound("this plan was not made", hint="Make it anew.")
    if isinstance(wish, RestoreWish):
        running = BackgroundTask("run", job.table, wish, site.clock, site.command(*wish.words))
        site.jobs.start(running, lambda each: plans.try_restore(site, wish, each, dry_run=False))
    else:
        made, most = job.result, _expected(request)
        needed = made.report.needs_expect_deletes
        if needed is not None and (most is None or most < needed):
            raise Refused(f"this deletes {needed:,} rows, most of the table", hint="Type how many rows may be deleted.")
        running = BackgroundTask("run", job.table, wish, site.clock, _apply(site, job.table, made))
        site.jobs.start(running, lambda each: plans.run(site, wish, made, most, each))
    return go_to(addresses.at(f"/runs/{quote(running.id)}"))


def _expected(request: Request) -> int | None:
    text = field(request, "expect_deletes").strip()
    return count_in(text, 10**12) if text else None
