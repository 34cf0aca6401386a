"""Checks that the table and its stream exist, and are the ones that the vault has followed."""

from __future__ import annotations

from functools import partial

from backstream.errors import BackstreamError, CatalogLost, MissingTable, NotFound
from backstream.model.changes.change import VIEW, stream_label
from backstream.model.tables.settings import TableSettings
from backstream.operations.doctor import permissions
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.identity import compare
from backstream.operations.doctor.report import Check, CheckVerdict, look, not_looked_at, ok, unknown, warning, wrong
from backstream.ports import Table, TableFacts
from backstream.vault.table_vault import TableVault

SETTINGS = "the table's settings"
AFTER = ("stream", SETTINGS, "point-in-time recovery", "deletion protection", "time to live")


def facts_of(patient: DoctorContext, name: str) -> tuple[TableFacts | None, list[Check]]:
    """Returns the table's present description, and its checks."""
    table = patient.table_of(name)
    try:
        facts = table.facts()
    except MissingTable:
        mend = f"aws dynamodb list-tables --region {_region(patient)}"
        return None, [wrong("table", "there is no such table in this account and region", mend)]
    except BackstreamError as error:
        return None, [unknown("table", error), *not_looked_at(AFTER, "the table could not be described")]
    return facts, [
        *look("table", lambda: _table(facts)),
        *look("clock beside DynamoDB", lambda: compare(patient, "clock beside DynamoDB", table.server_time)),
        *look("stream", lambda: _stream(facts)),
        *look(SETTINGS, lambda: _of_settings(table, facts)),
    ]


def _region(patient: DoctorContext) -> str:
    try:
        return patient.region()
    except BackstreamError:
        return "REGION"  # said already, by the check of the region


def _table(facts: TableFacts) -> Check:
    if facts.status in ("ACTIVE", "UPDATING"):
        return ok("table", f"{facts.status}, about {facts.items:,} items")
    return wrong("table", f"it is {facts.status}", f"aws dynamodb describe-table --table-name {facts.name}")


def _stream(facts: TableFacts) -> Check:
    if not facts.stream_enabled:
        return wrong("stream", "none: there is nothing to capture", f"backstream init {facts.name} --enable-stream")
    if facts.stream_view != VIEW:
        off = f"aws dynamodb update-table --table-name {facts.name} --stream-specification StreamEnabled=false"
        mend = f"{off}  # then: backstream init {facts.name} --enable-stream"
        return wrong("stream", f"it carries {facts.stream_view}, which does not hold whole items ({VIEW} does)", mend)
    return ok("stream", f"{VIEW}, since {stream_label(facts.stream_arn or '')}")


def _of_settings(table: Table, facts: TableFacts) -> list[Check]:
    """Checks the settings kept in the vault, and DynamoDB's own protection of the table. They are read once, for all of it."""
    seen = table.settings()
    return [_kept(seen), _recovery(seen, facts), _deletion(seen, facts), _expiry(seen)]


def _kept(seen: TableSettings) -> Check:
    if not seen.unknown:
        return ok(SETTINGS, "can be read, and are kept in the vault")
    parts = "; ".join(f"{part.replace('_', ' ')} ({why})" for part, why in seen.unknown.items())
    return Check(SETTINGS, CheckVerdict.UNKNOWN, f"these cannot be read, and so are not kept in the vault: {parts}")


def _recovery(seen: TableSettings, facts: TableFacts) -> Check:
    name = "point-in-time recovery"
    if why := seen.unknown.get("point_in_time_recovery"):
        return not_looked_at([name], why)[0]
    if seen.point_in_time_recovery.enabled:
        return ok(name, "on")
    on = "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
    mend = f"aws dynamodb update-continuous-backups --table-name {facts.name} {on}"
    return warning(name, "off: a second line of defence, of AWS's own", mend)


def _deletion(seen: TableSettings, facts: TableFacts) -> Check:
    if seen.table.get("DeletionProtectionEnabled"):
        return ok("deletion protection", "on")
    mend = f"aws dynamodb update-table --table-name {facts.name} --deletion-protection-enabled"
    return warning("deletion protection", "off: one call deletes the table", mend)


def _expiry(seen: TableSettings) -> Check:
    if why := seen.unknown.get("time_to_live"):
        return not_looked_at(["time to live"], why)[0]
    attribute = seen.time_to_live
    return ok("time to live", f"by {attribute}: its deletes are captured as such" if attribute else "off")


# --- beside the vault -------------------------------------------------------------------------------------------------------------


def vault_of(patient: DoctorContext, name: str, facts: TableFacts | None) -> tuple[TableVault | None, list[Check]]:
    """Returns the table's vault, and the checks of its identity."""
    try:
        vault = patient.vault_of(name)
    except CatalogLost as error:
        return None, [
            wrong("catalog", error.message, f"backstream check {name}{patient.vault_option}  # and bring the catalog back")
        ]
    except NotFound:
        on = "" if facts is not None and facts.stream_enabled else " --enable-stream"
        return None, [
            wrong("catalog", "the vault does not know this table yet", f"backstream init {name}{patient.vault_option}{on}")
        ]
    except BackstreamError:
        return None, look("catalog", lambda: _raising(patient, name))
    if facts is None:
        return vault, [ok("catalog", f"{vault.catalog.layout} layout; it has the table's settings, to restore without it")]
    return vault, look("catalog", lambda: _same(vault, facts))


def _raising(patient: DoctorContext, name: str) -> Check:
    patient.vault_of(name)
    return ok("catalog", "can be read")


def _same(vault: TableVault, facts: TableFacts) -> Check:
    catalog, name = vault.catalog, "catalog"
    tail = f"backstream tail {facts.name} --until-caught-up"
    if catalog.key_schema != facts.schema:
        return wrong(name, f"the table's key is {_key(facts.schema)}, the vault's {_key(catalog.key_schema)}: it is another table")
    if catalog.table_id != facts.table_id:
        return wrong(
            name, "the table was deleted and created again: the changes between are a gap", f"{tail}  # records it, and goes on"
        )
    if catalog.kinesis is None and facts.stream_enabled and catalog.stream_arn != facts.stream_arn:
        found = f"the stream was replaced at {stream_label(facts.stream_arn or '')}: the changes between are a gap"
        return wrong(name, found, f"{tail}  # records it, and follows the new one")
    return ok(name, f"{catalog.layout} layout, names {catalog.naming}, of this table and its stream")


def _key(schema: object) -> str:
    return ", ".join(f"{each.name} ({each.type})" for each in getattr(schema, "attributes", ()))


def of(patient: DoctorContext, name: str) -> tuple[TableFacts | None, TableVault | None, list[Check]]:
    """Returns all checks of a table beside its vault."""
    facts, checks = facts_of(patient, name)
    if facts is not None:
        checks += permissions.of_table(patient, patient.table_of(name), facts)
    if patient.place is None:
        return facts, None, checks
    vault, known = vault_of(patient, name, facts)
    if facts is not None and vault is not None and vault.catalog.kinesis is not None:
        sent = look("stream", partial(_sent, patient.table_of(name), vault.catalog.kinesis.arn))
        checks = [one for each in checks for one in (sent if each.name == "stream" else [each])]
    return facts, vault, [*checks, *known]


def _sent(table: Table, arn: str) -> Check:
    """Checks that the table sends its changes to the vault's Kinesis stream. Its own stream does not matter then."""
    seen = table.settings()
    if why := seen.unknown.get("kinesis_destinations"):
        return not_looked_at(["stream"], why)[0]
    if any(each.stream_arn == arn for each in seen.kinesis_destinations):
        return ok("stream", f"its changes go to the Kinesis stream {arn.rpartition('/')[2]}")
    on = "--enable-kinesis-streaming-configuration ApproximateCreationDateTimePrecision=MICROSECOND"
    mend = f"aws dynamodb enable-kinesis-streaming-destination --table-name {table.name} --stream-arn {arn} {on}"
    return wrong(
        "stream", f"its changes do not go to {arn}: they are being lost", f"{mend}  # then: backstream backfill {table.name}"
    )
