"""An item: its versions side by side."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from backstream.apps.verbs.arguments import key_of
from backstream.apps.web import command_lines, differences, values
from backstream.apps.web.access.privacy import ShownValue
from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.certain import state_has_gap
from backstream.apps.web.screens.plan import form_url
from backstream.apps.web.selection import ChangeFilters
from backstream.apps.web.site import Site, asked, count_in, field, go_to
from backstream.errors import NotFound
from backstream.operations.inspect.history import ItemHistory, ItemVersion
from backstream.vault.table_vault import TableVault

COLUMNS = 12  # versions side by side
MOST = 10**9


class VersionColumn(msgspec.Struct, frozen=True):
    """One version. `number`: from 1, the oldest; `cells`: value and change, by attribute; `exists`: not deleted.

    `plan`: the address of a plan that goes back to it; empty for the newest.
    """

    number: int
    time: str
    event: str
    actors: list[str]
    sequence: str
    exists: bool
    cells: dict[str, tuple[str, str]]
    changed: list[str]
    json: str
    plan: str


class Versions(msgspec.Struct, frozen=True):
    """Some of an item's versions, oldest first. `first`: the number of the first one; `total`: the number of all."""

    names: list[str]
    columns: list[VersionColumn]
    first: int
    total: int


async def find(site: Site, request: Request) -> Response:
    """`POST /t/TABLE/item`: to the screen of the item with the key in a form, which a private vault's addresses do not hold."""
    name = request.path_params["table"]
    key = await site.read(request, lambda token: key_of(site.vault(token, name), field(request, "key")))
    return go_to(site.privacy.item_url(name, key))


async def item(site: Site, request: Request) -> Response:
    """`GET /t/TABLE/item?key=KEY`, or `?k=ID` where keys are private."""
    name, typed = request.path_params["table"], asked(request, "json") == "dynamodb"

    def read(token: StopToken) -> tuple[bytes, ItemHistory, Versions, bool]:
        vault = site.vault(token, name)
        key = _key(site, vault, request)
        told = site.backup(token, name).tell(key.decode(), allow_gap=True)
        shown = versions(site, vault, key, told.versions, count_in(asked(request, "upto"), MOST), typed=typed)
        now = site.clock.now()
        return key, told, shown, bool(told.unread) or state_has_gap(vault, int(now), now)

    key, told, shown, gap = await site.read(request, read)
    here = site.privacy.item_url(name, key)
    more = "&json=dynamodb" if typed else ""
    last = shown.first + len(shown.columns) - 1
    return site.page(
        request,
        "item.html",
        table=name,
        key=values.key_words(key),
        raw=key.decode(),
        shown=shown,
        typed=typed,
        notes=site.privacy.words(told.notes),
        unread=site.privacy.words(told.unread),
        nothing=told.nothing_of("this item"),
        here=here,
        other=f"{here}{'' if typed else '&json=dynamodb'}&upto={last}",
        older=f"{here}{more}&upto={shown.first - 1}" if shown.first > 1 else "",
        newer=f"{here}{more}&upto={min(shown.total, last + COLUMNS)}" if last < shown.total else "",
        commands=[
            site.command("history", name, key.decode(), "--diff", *command_lines.allow_gap(needed=bool(told.unread))),
            site.command("show", name, key.decode(), "--at", "now", *command_lines.allow_gap(needed=gap)),
        ],
    )


def _key(site: Site, vault: TableVault, request: Request) -> bytes:
    if site.settings.private:
        if not asked(request, "k"):
            raise NotFound("this address names no item", hint="Keys do not stand in addresses here: look the item up in its table.")
        return key_of(vault, site.privacy.recall(asked(request, "k")))
    return key_of(vault, asked(request, "key"))


def versions(site: Site, vault: TableVault, key: bytes, found: list[ItemVersion], upto: int, *, typed: bool) -> Versions:
    """Returns the last versions up to a number (0: the newest), with the changes of each."""
    end = min(upto or len(found), len(found))
    first = max(1, end - COLUMNS + 1)
    chosen = found[first - 1 : end]
    before = site.privacy.attributes(bytes(found[first - 2].image)) if first > 1 else {}
    alone = ChangeFilters(keys=(key.decode(),))
    columns, names = list[VersionColumn](), dict.fromkeys(before)
    for number, version in enumerate(chosen, first):
        after = site.privacy.attributes(bytes(version.image))
        names |= dict.fromkeys(after)
        plan = "" if number == len(found) else form_url(site, vault.catalog.table, version.time, alone)
        columns.append(_column(site, vault, number, version, before, after, plan=plan, typed=typed))
        before = after
    keys = [each for each in vault.catalog.key_schema.names if each in names]
    return Versions([*keys, *sorted(each for each in names if each not in keys)], columns, first, len(found))


def _cell(before: ShownValue | None, after: ShownValue | None, kind: str) -> str:
    return values.changed_cells(before, after)[1] if kind == differences.CHANGED else values.cell(after)


def _column(
    site: Site,
    vault: TableVault,
    number: int,
    version: ItemVersion,
    before: dict[str, ShownValue],
    after: dict[str, ShownValue],
    *,
    plan: str,
    typed: bool,
) -> VersionColumn:
    kinds = {name: differences.kind_of(before.get(name), after.get(name)) for name in {**before, **after}}
    claims = site.privacy.claims(vault.catalog, version.actors)
    exists = bytes(version.image) != b"null"
    return VersionColumn(
        number=number,
        time=version.time,
        event=version.event,
        actors=[f"{each.actor} ({each.source}{'' if each.settled else ', not settled'})" for each in claims],
        sequence=version.sequence or "",
        exists=exists,
        cells={name: (_cell(before.get(name), after.get(name), kind), kind) for name, kind in kinds.items()},
        changed=sorted(name for name, kind in kinds.items() if kind != differences.SAME),
        json=values.document(after, typed=typed) if exists else "",
        plan=plan,
    )
