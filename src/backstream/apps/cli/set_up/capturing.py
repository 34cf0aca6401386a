"""`init` and `tail`: getting changes into the vault."""

from __future__ import annotations

import enum
import signal
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import as_error, over
from backstream.apps.cli.options import Json, TableName, Tables, Vault
from backstream.apps.cli.output import as_array, as_facts, as_json, hint, line, notice, of_costs
from backstream.apps.cli.set_up.live_line import LiveLine
from backstream.apps.lambdas import batch_log
from backstream.apps.selection.selecting import Among
from backstream.apps.selection.table_selection import TableSelection
from backstream.apps.verbs.arguments import key_schema_of
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.model import moment, request_settings
from backstream.model.counts import counted
from backstream.model.object_lock import LockMode
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.operations.capture.many_tails import TableResult
from backstream.operations.capture.shards import Wrote
from backstream.operations.capture.tail import TailReport
from backstream.operations.inspect.safety import LIMITS
from backstream.operations.legacy.adopt_legacy import Adopting
from backstream.operations.setup.init import InitReport
from backstream.operations.setup.legacy_contents import LegacyContents
from backstream.vault.catalog import Layout
from backstream.vault.keep_rules import rule_of
from backstream.vault.log.segments import Codec


class Log(enum.StrEnum):
    """The form of `tail`'s lines about its segments."""

    JSON = "json"


def init(
    tables: Tables,
    *,
    vault: Vault = None,
    layout: Annotated[
        Layout | None, Option(metavar="rows|log", help="The place of images [new: rows].", show_default=False)
    ] = None,
    naming: Annotated[
        Naming | None, Option(metavar="sha256|md5|plain", help="Row objects' names [new: sha256].", show_default=False)
    ] = None,
    tenant_attribute: Annotated[str | None, Option(metavar="A", help="Split the rows by it.", show_default=False)] = None,
    compress: Annotated[
        Codec | None, Option(metavar="zstd|gzip", help="Compression of the log [new: zstd].", show_default=False)
    ] = None,
    failures: Annotated[
        str | None,
        Option(metavar="s3://BUCKET|none", help="The bucket for batches that Lambda discards.", show_default=False),
    ] = None,
    key_order: Annotated[
        KeyOrder | None,
        Option(metavar="schema|sorted", help="Order of the key's attributes in names; sorted: older tools'.", show_default=False),
    ] = None,
    actor_attribute: Annotated[
        str | None,
        Option(metavar="PATH|none", help="Attribute with the last writer, e.g. updatedBy or meta.by.", show_default=False),
    ] = None,
    enable_stream: Annotated[bool, Option("--enable-stream", help="Turn the table's stream on.")] = False,
    kinesis: Annotated[
        str | None, Option(metavar="ARN", help="Take the changes from this Kinesis stream.", show_default=False)
    ] = None,
    create_bucket: Annotated[bool, Option("--create-bucket", help="Create the vault's bucket, versioned.")] = False,
    object_lock: Annotated[
        LockMode | None,
        Option(metavar="governance|compliance", help="Lock each new version of that bucket.", show_default=False),
    ] = None,
    lock_days: Annotated[int | None, Option(metavar="N", min=1, help="Days of the lock.", show_default=False)] = None,
    adopt: Annotated[bool, Option("--adopt", help="Take in an older tool's objects there.")] = False,
    adopt_folder: Annotated[
        str | None,
        Option(metavar="NAME", help="Folder of its objects, below the vault [TABLE]; . for none.", show_default=False),
    ] = None,
    key_schema: Annotated[
        str | None, Option(metavar="id:S[,n:N]", help="Its keys, to adopt the backup of a deleted table.", show_default=False)
    ] = None,
    sign: Annotated[
        str | None,
        Option(metavar="kms:ARN|ed25519:FILE", help="Sign the vault's own records.", show_default=False),
    ] = None,
    sse: Annotated[
        str | None,
        Option(metavar="aws:kms|AES256|aws:kms:dsse|none", help="Encryption that the bucket's policy demands.", show_default=False),
    ] = None,
    kms_key: Annotated[str | None, Option(metavar="ARN", help="The key of KMS for --sse.", show_default=False)] = None,
    bucket_key: Annotated[
        bool | None, Option("--bucket-key/--no-bucket-key", help="Ask KMS once for many objects.", show_default=False)
    ] = None,
    expected_bucket_owner: Annotated[
        str | None, Option(metavar="ACCOUNT", help="Refuse a bucket of another account.", show_default=False)
    ] = None,
    request_payer: Annotated[
        bool | None,
        Option("--request-payer/--no-request-payer", help="Pay for requests to a bucket of others.", show_default=False),
    ] = None,
    log_class: Annotated[
        str | None, Option(metavar="CLASS", help="Storage class of the log and base backups.", show_default=False)
    ] = None,
    rows_class: Annotated[str | None, Option(metavar="CLASS", help="Storage class of row objects.", show_default=False)] = None,
    keep: Annotated[
        str | None,
        Option(
            "--keep",
            "--keep-all",
            metavar="DURATION|none",
            help="The history that `retain` keeps, e.g. 400d.",
            show_default=False,
        ),
    ] = None,
    keep_daily: Annotated[
        str | None,
        Option(metavar="DURATION|none", help="Before that, the ends of days that `retain` keeps.", show_default=False),
    ] = None,
    keep_monthly: Annotated[
        str | None,
        Option(metavar="DURATION|none", help="Before that, the ends of months that `retain` keeps.", show_default=False),
    ] = None,
    json: Json = False,
) -> int:
    """Prepare a vault for a table: check table, stream and bucket, write the catalog."""
    if not adopt and (adopt_folder is not None or key_schema is not None):
        raise UsageError("--adopt-folder and --key-schema go with --adopt")
    if tables.single is None and (kinesis is not None or adopt_folder is not None or key_schema is not None):
        raise UsageError("--kinesis, --adopt-folder and --key-schema are of one table", hint="Name that table alone.")
    adopting = Adopting(adopt_folder, None if key_schema is None else key_schema_of(key_schema), enable_stream) if adopt else None
    requests = request_settings.of_words(
        sse=None if sse == request_settings.NOTHING else sse,
        kms_key=kms_key,
        bucket_key=bucket_key,
        requester_pays=request_payer,
        log_class=log_class,
        rows_class=rows_class,
    )
    held = library.open(vault)
    if not create_bucket and (object_lock is not None or lock_days is not None):
        raise UsageError(
            "--object-lock and --lock-days go with --create-bucket", hint="It also sets them on a bucket that is there."
        )
    if create_bucket:
        _create(held, tables, object_lock, lock_days)

    def one(table: str) -> None:
        report = held.table(table).init(
            layout=layout,
            naming=naming,
            tenant_attribute=tenant_attribute,
            compress=compress,
            failures=failures,
            key_order=key_order,
            enable_stream=enable_stream,
            kinesis=kinesis,
            adopt=adopting,
            actor_attribute=actor_attribute,
            sign=sign,
            requests=requests,
            forget_encryption=sse == request_settings.NOTHING,
            expected_bucket_owner=expected_bucket_owner,
            keep=keep,
            keep_daily=keep_daily,
            keep_monthly=keep_monthly,
        )
        if report.adopted is not None:
            notice(f"note: {LIMITS}")
            for each in report.adopted.named:
                notice(f"left alone: {each}")
        if json:
            as_json(report)
        else:
            _show_init(report, held.url)

    return over(tables, held, one, json=json, among=Among.ACCOUNT)


def _create(held: library.Vault, tables: TableSelection, lock: LockMode | None, days: int | None) -> None:
    """Creates the vault's bucket. Raises NotFound, before it does, if the selection finds nothing."""
    if tables.single is None:
        held.select(tables, Among.ACCOUNT)
    warning = held.create(object_lock=lock, lock_days=days)
    if warning is not None:
        notice(f"warning: the bucket is not closed to the public: {warning}")


def _show_init(report: InitReport, url: str) -> None:
    catalog = report.catalog
    since = _complete_from(report)
    state = "ready" if report.created else ("changed" if report.changes else "nothing to change")
    as_facts(
        [
            ("table", f"{catalog.table}: {state}"),
            ("vault", url),
            ("layout", f"{catalog.layout}, names {catalog.naming}, tenant attribute {catalog.tenant_attribute or '-'}"),
            *(() if report.adopted is None else _adopted(report.adopted)),
            ("complete from", since),
            *(("failed batches", each) for each in [catalog.failures] if each),
            *(("actor attribute", each) for each in [catalog.actor_attribute] if each),
            *(("requests", each) for each in (catalog.requests or request_settings.USUAL).described()),
            *(("history kept", str(each)) for each in [rule_of(catalog)] if each),
            *(("from now on", change) for change in report.changes),
            *of_costs(report.costs),
            *((("settings", f"kept, but for {_parts(report.unseen)}, which cannot be read"),) if report.unseen else ()),
            *(("advice", each) for each in report.advice),
            *((("changes from", catalog.kinesis.arn),) if catalog.kinesis else ()),
            ("next", f"backstream {'status' if report.captured else 'tail'} {catalog.table} --vault {url}"),
            *((("beside it", f"backstream backfill {catalog.table} --vault {url}"),) if report.needs_backfill else ()),
        ]
    )


def _complete_from(report: InitReport) -> str:
    """Returns the second from which the vault knows every item of the present table, or the command that gets it there."""
    lives = report.catalog.lives
    known = report.catalog.complete_from if not lives else lives[-1].created if lives[-1].complete else None
    if report.needs_backfill:
        why = "the table was not empty" if report.created else "changes are missing, or were never seen"
        return f"what `backfill` brings: {why}, and rows that do not change never come"
    if report.window:
        return report.window.removeprefix("recovery window: ")
    return "the newest base backup" if known is None else moment.iso(known)


def _adopted(found: LegacyContents) -> list[tuple[str, str]]:
    some = [
        (found.mended, "with binary values that were not DynamoDB JSON, mended in the log"),
        (found.unsure, "changes that arrived under two names in one instant: which was first is not known"),
        (found.foreign, "versions left alone: objects not named as an older tool would"),
        (found.unreadable, "versions that hold no item"),
    ]
    return [
        ("adopted", f"{found.versions:,} versions of {found.items:,} items, {found.deletes:,} of them deletes"),
        ("arrived", f"{moment.iso(found.since)} to {moment.iso(found.until)}"),
        *(("of these", f"{count:,} {what}") for count, what in some if count),
    ]


def _parts(unseen: Sequence[str]) -> str:
    return ", ".join(each.partition(":")[0] for each in unseen)


def tail(
    tables: Tables,
    *,
    vault: Vault = None,
    until_caught_up: Annotated[bool, Option("--until-caught-up", help="End once there is nothing left to read.")] = False,
    log: Annotated[Log | None, Option(metavar="json", help="A line on stderr for each segment.", show_default=False)] = None,
    json: Json = False,
) -> int:
    """Follow tables' streams into the vault, until stopped (SIGINT and SIGTERM end it cleanly, nothing is lost)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    held, words = library.open(vault), batch_log.words()

    live = LiveLine(SystemClock().now, shown=None if log is None else False)

    def wrote(table: str, segment: Wrote) -> None:
        live.wrote(segment)
        if log is not None:
            line(batch_log.of_tail(table, segment, words))

    ends = "" if until_caught_up else "; Ctrl-C ends it cleanly"
    if tables.single is not None:
        table = tables.single
        notice(f"following {table} into {held.url}{ends}")
        with live:
            one = held.table(table)
            report = one.tail(until_caught_up=until_caught_up, stop=stop, notice=live.notice, wrote=partial(wrote, table))
        return _show_tail(report, until_caught_up=until_caught_up, json=json)
    notice(f"following {' '.join(tables.words)} into {held.url}{ends}")
    with live:
        results = held.tail(tables, until_caught_up=until_caught_up, stop=stop, notice=live.notice, wrote=wrote)
    with as_array() if json else nullcontext():
        codes = [_show_result(each, until_caught_up=until_caught_up, json=json) for each in results]
    return max(codes, default=0)


def _show_result(result: TableResult, *, until_caught_up: bool, json: bool) -> int:
    """Shows the last result of one of several tables, and returns its exit code."""
    if result.error is not None:
        if result.error.hint:
            hint(f"{result.table}: {result.error.hint}")
        if json:
            as_json({"table": result.table, "error": as_error(result.error)})
        return result.error.exit_code
    if result.report is None:
        return 0
    return _show_tail(result.report, until_caught_up=until_caught_up, json=json, of=f"{result.table}: ")


def _show_tail(report: TailReport, *, until_caught_up: bool, json: bool, of: str = "") -> int:
    durable = "nothing yet" if report.durable is None else moment.iso(report.durable)
    if json:
        as_json(report)
    else:
        gone = f", {counted(report.forgotten, 'change')} of erased items discarded" if report.forgotten else ""
        notice(f"{of}{counted(report.captured, 'change')} captured{gone}; the vault holds everything up to {durable}")
    if report.childless and until_caught_up:
        shards = ", ".join(report.childless)
        notice(f"{of}not caught up: no shard is listed yet that follows {shards}; nothing later is claimed until one is")
        return 1
    if report.gaps and until_caught_up:
        notice(f"{of}{counted(report.gaps, 'gap')} recorded: some changes are lost, see `backstream status {report.table}`")
        return 1
    return 0


def rebuild(table: TableName, *, vault: Vault = None, json: Json = False) -> int:
    """Rebuild a lost change log from the row objects alone (rows layout)."""
    report = library.open(vault).table(table).rebuild()
    if json:
        as_json(report)
    else:
        as_facts([("changes", str(report.changes)), ("foreign versions", str(report.foreign))])
    for damaged in report.damaged:
        notice(f"damaged: {damaged}")
    return 1 if report.damaged else 0
