"""`init`: checks table, stream and bucket, and writes the catalog."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.errors import ConditionNotMet, Refused, UsageError, WrongStreamView
from backstream.model import moment, prices, request_settings
from backstream.model.changes.change import MICROS, VIEW, stream_label
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.condition import path_of
from backstream.model.prices import Cost
from backstream.model.request_settings import RequestSettings
from backstream.model.sealing import Signing
from backstream.model.tables import naming
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.model.tables.settings import TableSettings
from backstream.model.window import Window
from backstream.operations.setup import kept_history, settings
from backstream.operations.setup.identity import check_owner, gap_of, has_turned, proven_until, record_turn, turned
from backstream.operations.setup.kept_history import KeepOptions
from backstream.operations.setup.legacy_contents import LegacyContents
from backstream.operations.setup.remade_kinesis import is_remade, label_at, record_remade
from backstream.operations.setup.sources import check_destination
from backstream.ports import ObjectStore, Table, TableFacts
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault

NOWHERE = "none"  # there is no destination for what Lambda gives up, or no actor attribute, or it is to be forgotten
FORMER = (
    "objects of this table from before are in the vault, and their catalog is lost: nothing is claimed of that time. "
    "If a replica of the bucket has that catalog, bring it back"
)


class InitOptions(msgspec.Struct, frozen=True):
    """The options of `init`. None means: unchanged, or the default for a new table.

    `failures`: a bucket, or `NOWHERE`; `kinesis`: take the table's changes from this Kinesis stream, not from the table's own;
    `actor_attribute`: the path of the attribute in which items name their last writer, or `NOWHERE`; `bucket_owner`: the account
    that the vault's bucket belongs to. `signing`: sign with this key. `requests`: settings of requests to the bucket, over what is
    recorded; `forget_encryption`: nothing of an encryption is recorded any more. `keep`: the history that `retain` keeps.
    """

    layout: Layout | None = None
    naming: Naming | None = None
    tenant_attribute: str | None = None
    compress: Codec | None = None
    failures: str | None = None
    kinesis: KinesisSource | None = None
    key_order: KeyOrder | None = None
    actor_attribute: str | None = None
    bucket_owner: str | None = None
    signing: Signing | None = None
    requests: RequestSettings = request_settings.USUAL
    forget_encryption: bool = False
    keep: KeepOptions = KeepOptions()


class InitReport(msgspec.Struct, frozen=True):
    """The report of `init`. `created`: True if the table is new to the vault; `changes`: descriptions of the changes from now on,
    empty if there are none.

    `unseen`: settings of the table that could not be read this time, with the reason; `costs`: of both layouts, for batches of
    `prices.USUAL_BATCH` changes; `advice`: recommended settings; `adopted`: an older tool's objects, if they were adopted.
    `needs_backfill`: True if the vault does not know every item's present state, and later changes will not show it.
    `window`: the recovery window, as far as it is known; empty for a new table. `captured`: True if a tail, or a function with a
    witness, has proven the last minutes.
    """

    catalog: Catalog
    created: bool
    changes: list[str]
    unseen: list[str]
    advice: list[str] = []
    needs_backfill: bool = False
    costs: list[Cost] = msgspec.field(default_factory=lambda: prices.costs(prices.USUAL_BATCH))
    adopted: LegacyContents | None = None
    window: str = ""
    captured: bool = False


PROVEN_WITHIN = 900  # seconds: three runs of a witness that is due every five minutes
Trial = Callable[[], list[str]]  # tries the vault's server; returns warnings, and raises Refused


def init(
    store: ObjectStore, table: Table, words: InitOptions, *, enable_stream: bool = False, trial: Trial = list[str]
) -> InitReport:
    """Prepares a vault for a table, or changes its options from now on. The same options again change nothing.

    Raises MissingTable, MissingBucket; Refused if the stream is off or carries no full images; UnversionedBucket if the vault would
    lose overwritten objects. `trial`: called before anything else is written into the vault.
    """
    naming.check_table_name(table.name)
    if words.tenant_attribute == "":
        raise UsageError("the tenant attribute has no name")
    check_actor_attribute(words)
    store.check()
    for _ in range(catalogs.ATTEMPTS):
        try:
            return _init(store, table, words, enable_stream=enable_stream, trial=trial)
        except ConditionNotMet:
            continue  # another `init`, a tail or a backfill has changed the catalog meanwhile: what is different now is asked again
    raise catalogs.contended(store, table.name)


def _init(store: ObjectStore, table: Table, words: InitOptions, *, enable_stream: bool, trial: Trial) -> InitReport:
    """Raises ConditionNotMet, without any change, if another process changes the catalog at the same time."""
    upon = catalogs.known(store, table.name)
    known = None if upon is None else upon.catalog
    before = table.facts()
    was_on = before.stream_enabled
    if known is not None:
        check_owner(known, before.arn)
    if words.kinesis is not None:
        check_destination(table, words.kinesis.arn)
        facts = table.facts()
    elif known is not None and known.kinesis is not None:
        facts = table.facts()
    else:
        facts = with_stream(table, enable_stream=enable_stream)
        known = None if known is None else _now_followed(known, facts, table)
    advice = trial()
    if known is None or upon is None:
        report = _first(store, table, facts, words)
    else:
        known, turns = _turned(store, known, facts, table, was_on=was_on)
        report = _again(store, table, known, words, upon, turns)
    return msgspec.structs.replace(report, advice=[*report.advice, *advice])


def _turned(store: ObjectStore, known: Catalog, facts: TableFacts, table: Table, *, was_on: bool) -> tuple[Catalog, list[str]]:
    """Returns the catalog of the present table and stream, and descriptions of the changes: a gap, which is recorded first.

    `was_on`: True if the stream was on before `init`.
    """
    if not has_turned(known, facts):
        return known, []
    now, vault = table.server_time(), TableVault(store, known)
    gap = gap_of(known, facts, now, proven_until(vault, now), was_on=was_on)
    record_turn(vault, gap)
    lost = f"changes of {moment.iso(gap.since)} to {moment.iso(gap.until)} may be missing (a gap)"
    return turned(known, facts, was_on=was_on), [f"{gap.reason}: {lost}"]


def _now_followed(known: Catalog, facts: TableFacts, table: Table) -> Catalog:
    """Returns the catalog of a table that was adopted without a stream, and has one now: from now on it is followed."""
    if known.stream_arn or known.adopted is None:
        return known
    return msgspec.structs.replace(
        known,
        stream=stream_label(facts.stream_arn or ""),
        stream_arn=facts.stream_arn or "",
        initialised=moment.iso(table.server_time()),
        table_arn=facts.arn,
        table_id=facts.table_id,
    )


def with_stream(table: Table, *, enable_stream: bool) -> TableFacts:
    """Returns the table's description, with a stream that can be followed. Raises Refused or WrongStreamView if it has none."""
    facts = table.facts()
    if not facts.stream_enabled:
        if not enable_stream:
            raise Refused(
                f"the table {table.name} has no stream: there is nothing to follow",
                hint=f"Run `backstream init {table.name} --enable-stream`: it enables a stream of {VIEW}.",
            )
        table.enable_stream()
        facts = table.facts()
    if facts.stream_view != VIEW:
        raise WrongStreamView(
            f"the stream of {table.name} carries {facts.stream_view}, which does not hold whole items",
            hint=f"A view type cannot be changed: disable the stream, then run `backstream init {table.name} --enable-stream`.",
        )
    return facts


def _first(store: ObjectStore, table: Table, facts: TableFacts, words: InitOptions) -> InitReport:
    former = catalogs.is_lost(store, table.name)
    # The stream is on by now. If no item is found, every later item is a change in the stream.
    empty, seen_at = table.is_empty()
    seen = table.settings()
    catalog = Catalog(
        format=catalogs.FIRST_FORMAT,
        table=table.name,
        table_arn=facts.arn,
        table_id=facts.table_id,
        key_schema=facts.schema,
        layout=words.layout or Layout.ROWS,
        naming=words.naming or Naming.SHA256,
        tenant_attribute=words.tenant_attribute,
        compress=words.compress or Codec.ZSTD,
        stream=label_at(seen_at) if words.kinesis else stream_label(facts.stream_arn or ""),
        stream_arn=words.kinesis.arn if words.kinesis else facts.stream_arn or "",
        kinesis=None if words.kinesis is None else _kept(words.kinesis),
        initialised=moment.iso(seen_at),  # the server's time: it is compared with the times of changes
        complete_from=int(seen_at) if empty else None,
        settings=catalogs.encode_settings(seen),
        failures=_failures(words, None),
        key_order=words.key_order or KeyOrder.SCHEMA,
        actor_attribute=actor_attribute(words, None),
        bucket_owner=words.bucket_owner,
        signing=words.signing,
        requests=_requests(words, None),
    )
    catalog = kept_history.with_rule(catalog, words.keep)
    catalogs.save(store, catalog, None)
    advice = [*([FORMER] if former else []), *_advice(catalog, seen)]
    return InitReport(catalog, created=True, changes=[], unseen=settings.unseen(seen), advice=advice, needs_backfill=not empty)


def _again(
    store: ObjectStore, table: Table, known: Catalog, words: InitOptions, upon: catalogs.Current, turns: list[str]
) -> InitReport:
    wanted = msgspec.structs.replace(
        known,
        layout=words.layout or known.layout,
        naming=words.naming or known.naming,
        tenant_attribute=known.tenant_attribute if words.tenant_attribute is None else words.tenant_attribute,
        compress=words.compress or known.compress,
        failures=_failures(words, known.failures),
        key_order=words.key_order or known.key_order,
        actor_attribute=actor_attribute(words, known.actor_attribute),
        bucket_owner=words.bucket_owner or known.bucket_owner,
        signing=_signing(words, known),
        requests=_requests(words, known.requests),
    )
    wanted = kept_history.with_rule(wanted, words.keep)
    if words.kinesis is not None and words.kinesis != known.kinesis:
        wanted, remade = _from_kinesis(store, table, wanted, words.kinesis)
        turns = [*turns, *remade]
    seen = table.settings()
    compared = settings.compare(wanted, seen)
    changes = [*turns, *changes_of(known, wanted), *(f"the table's {each}" for each in compared.changes)]
    changes += ["the stream is followed"] if known.stream_arn and not upon.catalog.stream_arn else []
    if changes:
        catalogs.save(store, compared.catalog, upon)
    catalog = compared.catalog if changes else known
    now = table.server_time()
    window = TableVault(store, catalog).window(now)
    return InitReport(
        catalog,
        created=False,
        changes=changes,
        unseen=settings.unseen(seen),
        advice=_advice(catalog, seen),
        needs_backfill=_needs_backfill(window),
        window=str(window),
        captured=window.durable is not None and now - window.durable <= PROVEN_WITHIN,
    )


def _needs_backfill(window: Window) -> bool:
    """True if no start counts without a gap behind it: as after a table was created again, or a stream was off."""
    return not window.starts or bool(window.open_gaps)


def _advice(catalog: Catalog, seen: TableSettings) -> list[str]:
    arn = None if catalog.kinesis is None else catalog.kinesis.arn
    if any(each.stream_arn == arn and each.precision != "MICROSECOND" for each in seen.kinesis_destinations):
        return [
            (
                "set the destination's precision to MICROSECOND (`aws dynamodb update-kinesis-streaming-destination`): "
                "within a millisecond an item may change twice, in an order that its time does not tell"
            )
        ]
    return []


def _from_kinesis(store: ObjectStore, table: Table, known: Catalog, source: KinesisSource) -> tuple[Catalog, list[str]]:
    """Returns the catalog with another source. The time between the two is a gap, since nobody can tell that nothing is missing
    there.

    It also returns descriptions of changes that the source's ARN does not show.
    """
    now = table.server_time()
    vault = TableVault(store, known)
    if known.kinesis is not None and known.kinesis.arn == source.arn:
        return _from_same_kinesis(vault, source, now)
    durable = vault.window(now).durable
    since = moment.parse_iso_micros(known.initialised) // MICROS if durable is None else durable
    reason = f"from here on changes are taken from {source.arn}"
    label = label_at(now, known.stream)
    vault.gaps.record(Gap(reason=reason, since=min(since, int(now)), until=int(now), stream=label))
    kept = _kept(source, None if durable is None else min(durable, int(now)))
    return msgspec.structs.replace(known, stream=label, stream_arn=source.arn, kinesis=kept), []


def _from_same_kinesis(vault: TableVault, source: KinesisSource, now: float) -> tuple[Catalog, list[str]]:
    before = vault.catalog.kinesis
    catalog = msgspec.structs.replace(vault.catalog, kinesis=_kept(source, None if before is None else before.after))
    if not is_remade(vault, source.created, now):
        return catalog, []
    gap = record_remade(vault, now)
    lost = f"changes of {moment.iso(gap.since)} to {moment.iso(gap.until)} may be missing (a gap)"
    return msgspec.structs.replace(catalog, stream=gap.stream), [f"{gap.reason}: {lost}"]


def _kept(source: KinesisSource, after: int | None = None) -> KinesisSource:
    """Returns the part that a catalog keeps. `after`: see `KinesisSource`."""
    return msgspec.structs.replace(source, created=None, after=after)


def changes_of(known: Catalog, wanted: Catalog) -> list[str]:
    """Describes the options that change from now on."""
    pairs = {
        "layout": (known.layout, wanted.layout),
        "naming": (known.naming, wanted.naming),
        "tenant attribute": (known.tenant_attribute, wanted.tenant_attribute),
        "compression of the log": (known.compress, wanted.compress),
        "order of the key's attributes in names": (known.key_order, wanted.key_order),
    }
    source = (
        []
        if known.kinesis == wanted.kinesis or wanted.kinesis is None
        else [f"changes come from {wanted.kinesis.arn}, which keeps them for {wanted.kinesis.retention // 3600} hours"]
    )
    changed = source + [
        f"{what}: {new} from now on (what was kept as {old} stays readable)" for what, (old, new) in pairs.items() if old != new
    ]
    if known.signing != wanted.signing and wanted.signing is not None:
        changed.append(
            f"the vault's own objects are signed with {wanted.signing.key} (restart every tail and function; existing objects "
            "are not covered: `backstream backfill` begins anew)"
        )
    if known.failures != wanted.failures:
        changed.append(f"what Lambda gives up: {wanted.failures or 'looked for nowhere'} (was: {known.failures or 'nowhere'})")
    if known.actor_attribute != wanted.actor_attribute:
        now, before = wanted.actor_attribute or "none", known.actor_attribute or "none"
        changed.append(f"actor attribute: {now} (was: {before}); history reads it in all changes, earlier ones too")
    changed += kept_history.changes(known, wanted)
    if known.bucket_owner != wanted.bucket_owner:
        changed.append(f"the bucket has to be of account {wanted.bucket_owner} (was: {known.bucket_owner or 'not recorded'})")
    if known.requests != wanted.requests:
        asked = (wanted.requests or request_settings.USUAL).described()
        changed.append(f"requests to the bucket: {', '.join(asked) or 'without settings of their own'}")
    return changed


def check_actor_attribute(words: InitOptions) -> None:
    """Raises UsageError if the actor attribute is not a path."""
    if words.actor_attribute not in (None, NOWHERE):
        path_of(words.actor_attribute or "")


def actor_attribute(words: InitOptions, known: str | None) -> str | None:
    """Returns the actor attribute from now on."""
    return known if words.actor_attribute is None else (None if words.actor_attribute == NOWHERE else words.actor_attribute)


def _signing(words: InitOptions, known: Catalog) -> Signing | None:
    """Returns the signing from now on. The same key keeps its first second."""
    before, asked = known.signing, words.signing
    return before if asked is None or (before is not None and before.key == asked.key) else asked


def _requests(words: InitOptions, known: RequestSettings | None) -> RequestSettings | None:
    """Returns the settings of requests from now on; None if there are none."""
    before = known or request_settings.USUAL
    found = words.requests.over(before.without_encryption() if words.forget_encryption else before)
    return None if found == request_settings.USUAL else found


def _failures(words: InitOptions, known: str | None) -> str | None:
    return known if words.failures is None else (None if words.failures == NOWHERE else words.failures)
