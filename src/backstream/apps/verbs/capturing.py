"""The operations that bring changes into a vault and keep it in order: `TableBackup.init`, `tail`, `witness`, `backfill`,
`compact`, ...
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from backstream.apps import proven_servers
from backstream.apps.aws.bucket_owners import account_of
from backstream.apps.config import Config
from backstream.apps.verbs.arguments import SEGMENTS, Moment, second_of, seconds_of, url_of
from backstream.apps.verbs.dumps import held_in
from backstream.apps.verbs.migrations import export_of, is_export
from backstream.apps.verbs.periods import Period, kept_seconds, period_of
from backstream.errors import UsageError
from backstream.model import request_settings
from backstream.model.request_settings import RequestSettings
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.operations.base.backfill import BackfillContext, Backfilled, FullExport, backfill, check_export, scan_of, take_in
from backstream.operations.base.backfill.from_files import FilesSource, read_between
from backstream.operations.base.compact import Compaction, compact
from backstream.operations.base.rebuild import Rebuilt, rebuild
from backstream.operations.bulk.held_items import HeldItems
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate_limited_scan import check_reading
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.redrive import Redriven, redrive
from backstream.operations.capture.redrive import RedriveOptions as RedriveWords
from backstream.operations.capture.shards import Settings, Share, Wrote
from backstream.operations.capture.tail import TailReport
from backstream.operations.capture.witness import BUDGET, SETTINGS, Witnessed, witness
from backstream.operations.legacy.adopt_legacy import Adopting
from backstream.operations.legacy.adopt_legacy import adopt as adopt_bucket
from backstream.operations.setup.identity import Lookup, turn
from backstream.operations.setup.init import NOWHERE, InitOptions, InitReport, init
from backstream.operations.setup.kept_history import KeepOptions
from backstream.operations.setup.settings import refresh
from backstream.vault.catalog import Layout, settings_of
from backstream.vault.dumps.held import TableKeys
from backstream.vault.dumps.opening import FileOptions
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault


class Capturing:
    """The part of a table's backup that writes into the vault."""

    _config: Config
    _name: str

    def init(
        self,
        *,
        layout: Layout | None = None,
        naming: Naming | None = None,
        tenant_attribute: str | None = None,
        compress: Codec | None = None,
        failures: str | None = None,
        key_order: KeyOrder | None = None,
        enable_stream: bool = False,
        kinesis: str | None = None,
        adopt: Adopting | None = None,
        actor_attribute: str | None = None,
        sign: str | None = None,
        requests: RequestSettings | None = None,
        forget_encryption: bool = False,
        expected_bucket_owner: str | None = None,
        keep: Period = None,
        keep_daily: Period = None,
        keep_monthly: Period = None,
    ) -> InitReport:
        """Prepares the vault for the table; a second call with other options changes them from now on.

        `failures`: the bucket (`s3://bucket`) that is the on-failure destination of the table's Lambda function, or `none`;
        `kinesis`: the ARN of a Kinesis stream that receives the table's changes, as their source; `adopt`: take in an older tool's
        objects there; `actor_attribute`: the path of the attribute in which items name their last writer, or `none`; `sign`: sign
        the vault's own objects from now on, with `kms:ARN` or `ed25519:FILE`; `requests`: what the bucket's policy demands of
        requests; `forget_encryption`: none is asked for any more; `expected_bucket_owner`: the account of the bucket; `keep`: the
        history that `retain` keeps (`400d`, or seconds), or `none`; `keep_daily`, `keep_monthly`: the longer periods in which it
        keeps the ends of days and months.
        """
        config, asked = self._config, requests or request_settings.USUAL
        config.owners.ask(asked.check(), account_of(expected_bucket_owner), forget_encryption=forget_encryption)
        if failures not in (None, NOWHERE):
            config.destination(failures)
            failures = failures.rstrip("/")
        source = None if kinesis is None else config.kinesis(kinesis).source()
        owner = expected_bucket_owner or config.bucket_owner
        signing = None if sign is None else config.keys.sign_with(sign, config.clock.now())
        words = InitOptions(
            layout,
            naming,
            tenant_attribute,
            compress,
            failures,
            source,
            key_order,
            actor_attribute,
            owner,
            signing,
            keep=KeepOptions(kept_seconds(config, keep), period_of(keep_daily), period_of(keep_monthly)),
        )
        words = msgspec.structs.replace(words, requests=asked, forget_encryption=forget_encryption)
        trial = partial(proven_servers.check, config, self._name, words)
        if adopt is None:
            return init(config.store, config.table(self._name), words, enable_stream=enable_stream, trial=trial)
        trial()
        return adopt_bucket(config.store, config.table(self._name), words, adopt, config.clock, writer=config.writer)

    def tail(
        self,
        *,
        until_caught_up: bool = False,
        stop: threading.Event | None = None,
        notice: Callable[[str], None] = lambda _: None,
        settings: Settings | None = None,
        wrote: Callable[[Wrote], None] = lambda _: None,
        share: Share | None = None,
    ) -> TailReport:
        """Follows the table's stream into the vault until `stop` is set, or only until there is nothing left to read.

        `notice` receives messages for an operator, `wrote` each segment that is written, in threads of the tail. `share`: the
        threads that it has in common with other tables' tails.
        """
        vault = self._vault()
        following = self._following(vault, stop, notice, settings or Settings())
        following = msgspec.structs.replace(following, wrote=wrote, share=share)
        return follow(vault, following, until_caught_up=until_caught_up)

    def witness(
        self,
        *,
        budget: str | float = BUDGET,
        stop: threading.Event | None = None,
        notice: Callable[[str], None] = lambda _: None,
        settings: Settings | None = None,
    ) -> Witnessed:
        """Checks the stream against the vault's log, writes missing records, and leaves a watermark: everything up to there is
        proven.

        `budget`: seconds, or `4m`, after which it stops reading; the next run continues from there. `notice`: see `tail`.
        """
        vault, seconds = self._vault(), seconds_of(budget)
        if seconds <= 0:
            raise UsageError(f"no time to read anything: {budget}", hint="Give it 30s or more.")
        return witness(vault, self._following(vault, stop, notice, settings or SETTINGS), budget=seconds)

    def _following(
        self, vault: TableVault, stop: threading.Event | None, notice: Callable[[str], None], settings: Settings
    ) -> Following:
        config = self._config
        return Following(
            table=config.table(self._name),
            streams=partial(config.source, vault.catalog),
            clock=config.clock,
            writer=config.writer,
            notice=notice,
            stop=stop or threading.Event(),
            settings=settings,
        )

    def backfill(
        self,
        *,
        segments: int = SEGMENTS,
        max_read_units: float | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> Backfilled:
        """Makes a base backup of the table's present contents, safe beside a running tail or Lambda. Resumes an interrupted one.

        `max_read_units`: read units a second at most; `fresh`: begin a new one instead of resuming.
        """
        check_reading(segments, max_read_units)
        clock, table = self._config.clock, self._config.table(self._name)
        vault = self._vault()
        vault = turn(vault, table.facts(), clock.now()).vault
        source = scan_of(vault, table, clock, segments=segments, max_units=max_read_units)
        report = backfill(vault, source, BackfillContext(clock, progress or Silent()), fresh=fresh)
        refresh(vault.store, table)
        return report

    def take_export(
        self,
        url: str,
        *,
        read: tuple[Moment, Moment] | None = None,
        checksums: bool = True,
        csv_delimiter: str | None = None,
        csv_columns: str | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> Backfilled:
        """Takes in an AWS export, `s3://bucket/prefix/AWSDynamoDB/ID`: a full one as base backup, an incremental one as changes.

        Any other path or URL: a dump as a base backup. `read`: the moments between which its items were read from the table, if it
        does not tell them. `checksums`: False if `.md5` files may be missing; `csv_delimiter`, `csv_columns`: how CSV is written.
        """
        vault = self._vault()
        parts = BackfillContext(self._config.clock, progress or Silent())
        if not is_export(url_of(url)):
            return self._take_files(vault, url, read, FileOptions(checksums, csv_delimiter, csv_columns), parts, fresh=fresh)
        if read is not None:
            raise UsageError("an export tells its moment", hint="Leave --read-between out.")
        export = export_of(self._config, url_of(url), checksums=checksums)
        check_export(vault, export)
        if export.summary.incremental:
            return take_in(vault, export, parts, writer=self._config.writer)
        return backfill(vault, FullExport(export, vault.catalog.key_schema), parts, fresh=fresh)

    def _take_files(
        self,
        vault: TableVault,
        path: str,
        read: tuple[Moment, Moment] | None,
        files: FileOptions,
        parts: BackfillContext,
        *,
        fresh: bool,
    ) -> Backfilled:
        now = parts.clock.now()
        held = held_in(self._config, path, self._name, files)
        if held.facts.moment:
            raise UsageError(f"a folder of exports: {path}", hint="Take each in by itself, the full one first: .../AWSDynamoDB/ID.")
        given = None if read is None else (second_of(read[0], now, vault), second_of(read[1], now, vault))
        between = read_between(vault, held, given, now)
        described = settings_of(vault.catalog).table.get("AttributeDefinitions", [])
        types = {each["AttributeName"]: each["AttributeType"] for each in described}
        with HeldItems(held, TableKeys(vault.catalog.key_schema, types)) as items:
            return backfill(vault, FilesSource(items, between), parts, fresh=fresh)

    def compact(self, *, until: Moment | None = None, progress: Progress | None = None) -> Compaction:
        """Merges the many small objects of the log and of base backups into few large ones, which keep the lines of a key together.

        Safe beside a running tail, Lambda function or restore. `until`: leave newer objects.
        """
        vault, clock = self._config.verified(self._name), self._config.clock
        second = None if until is None else second_of(until, clock.now(), vault)
        return compact(vault, clock, until=second, memory=self._config.memory, progress=progress)

    def redrive(
        self,
        *,
        source: str | None = None,
        give_up: Iterable[str] = (),
        dry_run: bool = False,
        accept_settings: bool = False,
        progress: Progress | None = None,
    ) -> Redriven:
        """Brings back the batches that Lambda discarded, from its on-failure destination: `source`, or the one given to `init`.

        `give_up`: sequence numbers or objects, from the report's `left`, to declare permanently lost: they become recorded gaps.
        `accept_settings`: the bucket may belong to an account other than the table's.
        """
        words = RedriveWords(source, frozenset(give_up), dry_run)
        config = self._config
        lookup = Lookup(partial(config.table, self._name), config.stream)
        vault = self._vault()
        vault.accept_settings = accept_settings
        return redrive(vault, words, config.clock, writer=config.writer, progress=progress, lookup=lookup)

    def rebuild(self) -> Rebuilt:
        """Makes the change log again from the row objects alone. Raises NotFound if there are neither rows nor a catalog."""
        if next(self._config.store.versions(f"{self._name}/"), None) is None:
            self._vault()
        return rebuild(self._config.store, self._name, writer=self._config.writer)

    def _vault(self) -> TableVault:
        return self._config.vault(self._name)
