"""Compares the deployed function, its sources and its alarms with a sound deployment (`expected`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from backstream.errors import NotFound
from backstream.model import request_settings
from backstream.operations.doctor import alarms, expected, mapping
from backstream.operations.doctor.capture import captured_by_function
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, about, look, ok, warning, wrong
from backstream.operations.inspect.readers import ALLOWED, FUNCTION, readers_of, too_many
from backstream.ports import Described, TableFacts
from backstream.vault.catalog import Catalog
from backstream.vault.table_vault import TableVault

DEPLOY = "backstream template cloudformation"
_INIT_OPTIONS = {
    request_settings.ENCRYPTION: "--sse {}",
    request_settings.KEY: "--sse aws:kms --kms-key {}",
    request_settings.BUCKET_KEY: "",  # see `_init_option`
    request_settings.PAYER: "--request-payer",
    request_settings.LOG_CLASS: "--log-class {}",
    request_settings.ROWS_CLASS: "--rows-class {}",
}


def of(patient: DoctorContext, table: str, facts: TableFacts | None, vault: TableVault | None) -> list[Check]:
    """Checks the functions that this table's stream feeds, or the named one."""
    found: list[Described] = []
    checks = look("mappings", lambda: _mappings(patient, table, facts, vault, found))
    if vault is not None:
        known = vault
        checks += look("readers", lambda: _readers(found, readers_of(known, patient.clock.now())))
    names = list(dict.fromkeys([*([patient.function] if patient.function else []), *(_name(each) for each in found)]))
    for name in names:
        checks += about(name, _function(patient, name, [each for each in found if _name(each) == name], vault))
    return checks


def _mappings(
    patient: DoctorContext, table: str, facts: TableFacts | None, vault: TableVault | None, found: list[Described]
) -> Iterator[Check]:
    """Checks the event source mappings of the table's stream, and adds them to `found`."""
    arn = None if facts is None or not facts.stream_enabled else facts.stream_arn
    if patient.function is not None:
        found += [each for each in _of_function(patient, patient.function) if _feeds(each, table, arn)]
    elif arn is not None:
        found += patient.account.mappings(stream=arn)
    if len(found) == 1:
        yield ok("mappings", f"{_name(found[0])} is fed by {_source(found[0])}")
    elif found:
        yield warning("mappings", f"{len(found)} feed functions: {', '.join(map(_name, found))}", "is each of them meant to be?")
    elif patient.function is not None:
        yield wrong("mappings", f"nothing of {table} feeds {patient.function}", _map(patient.function, arn))
    elif vault is not None and captured_by_function(vault, patient.clock.now()):
        found_nothing = "a function has captured so far, and none is fed by the table's stream any more"
        yield wrong("mappings", found_nothing, f"{DEPLOY}  # or, of a function that is there: {_map('NAME', arn)}")
    else:
        yield ok("mappings", "none: no function captures this table")


def _readers(mappings: Sequence[Described], seen: Sequence[str]) -> Check:
    """Counts the stream's readers: functions by their mappings, of any owner; if none is known, the one that the log shows."""
    fed = [f"the function {_name(each)}" for each in mappings if each.get("State") not in ("Disabled", "Disabling")]
    every = [*(fed or [each for each in seen if each == FUNCTION]), *(each for each in seen if each != FUNCTION)]
    if crowded := too_many(every):
        return warning("readers", crowded, "stop one: a tail needs no witness beside it, and a function no tail")
    return ok("readers", f"{', '.join(every) or 'none'}, of {ALLOWED} that a shard serves")


def _of_function(patient: DoctorContext, name: str) -> Sequence[Described]:
    try:
        return patient.account.mappings(function=name)
    except NotFound:
        return []  # the check of the function says so


def _feeds(mapping: Described, table: str, arn: str | None) -> bool:
    """True if it reads from the table's current stream, or from Kinesis, which may carry any table."""
    source = str(mapping.get("EventSourceArn"))
    return ":kinesis:" in source or (source == arn if arn is not None else f":table/{table}/stream/" in source)


def _name(mapping: Described) -> str:
    """Returns the function's name, from its ARN (which may end in a version or an alias)."""
    return str(mapping.get("FunctionArn", "")).partition(":function:")[2].partition(":")[0]


def _source(mapping: Described) -> str:
    arn = str(mapping.get("EventSourceArn"))
    return f"the Kinesis stream {arn.rpartition('/')[2]}" if ":kinesis:" in arn else "the table's stream"


def _map(function: str, arn: str | None) -> str:
    return (
        f"aws lambda create-event-source-mapping --function-name {function} --event-source-arn {arn or 'STREAM_ARN'} "
        f"--starting-position {expected.START} --function-response-types {expected.PARTIAL} --bisect-batch-on-function-error "
        f"--maximum-retry-attempts {expected.RETRIES} --maximum-record-age-in-seconds {expected.RECORD_AGE} "
        """--destination-config '{"OnFailure":{"Destination":"arn:aws:s3:::BUCKET"}}'"""
    )


# --- the function -----------------------------------------------------------------------------------------------------------------


def _function(patient: DoctorContext, name: str, mappings: Sequence[Described], vault: TableVault | None) -> list[Check]:
    found: list[Described] = []
    checks = look("function", lambda: _found(patient, name, found))
    if not found:
        return checks
    function = found[0]
    factors = [int(each.get("ParallelizationFactor") or 1) for each in mappings]
    return [
        *checks,
        *look("handler", lambda: _handler(name, function)),
        *look("vault of the function", lambda: _vault(patient, name, function)),
        *([] if vault is None else look("signatures", lambda: _signatures(name, function, vault.catalog))),
        *([] if vault is None else look("request settings", lambda: _requests(name, function, vault.catalog))),
        *look("parallelization", lambda: _parallelization(name, function, max(factors, default=1))),
        *look("time and memory", lambda: _resources(name, function)),
        *look("concurrency", lambda: _concurrency(patient, name)),
        *(check for each in mappings for check in mapping.of(patient, each)),
        *look("alarms", partial(alarms.of, patient, name, mappings)),
    ]


def _found(patient: DoctorContext, name: str, found: list[Described]) -> Check:
    try:
        function = patient.account.function(name)
    except NotFound:
        return wrong("function", "there is no such function in this account and region", DEPLOY)
    found.append(function)
    state, updated = str(function.get("State") or "Active"), str(function.get("LastUpdateStatus") or "Successful")
    logs = f"aws lambda get-function-configuration --function-name {name}"
    if state == "Failed" or updated == "Failed":
        why = function.get("StateReason") if state == "Failed" else function.get("LastUpdateStatusReason")
        return wrong(
            "function", f"{'its state' if state == 'Failed' else 'its last update'} is Failed: {why or 'no reason given'}", logs
        )
    if state == "Pending" or updated == "InProgress":
        return warning("function", f"it is still being set up ({state}, last update {updated})", f"{logs}  # in a minute")
    return ok("function", f"{state}, last update {updated}")


def _handler(name: str, function: Described) -> Check:
    if function.get("PackageType") == "Image":
        return ok("handler", "of a container image: its own matter")
    configure = f"aws lambda update-function-configuration --function-name {name}"
    if function.get("Handler") != expected.HANDLER:
        mend = f"{configure} --handler {expected.HANDLER}"
        return wrong("handler", f"{function.get('Handler')}, and not {expected.HANDLER}", mend)
    runtime = str(function.get("Runtime"))
    version = re.fullmatch(r"python(\d+)\.(\d+)", runtime)
    if version is None or (int(version[1]), int(version[2])) < expected.LEAST_PYTHON:
        return wrong(
            "handler", f"on the runtime {runtime}; Python {'.'.join(map(str, expected.LEAST_PYTHON))} or newer is needed", DEPLOY
        )
    return ok("handler", f"{expected.HANDLER} on {runtime}")


def _variables(function: Described) -> dict[str, str]:
    return dict((function.get("Environment") or {}).get("Variables") or {})


def _configure(name: str, function: Described, variable: str, value: str) -> str:
    """Returns the command that sets one variable.

    It replaces all of them; other variables may be secret, and are not shown here.
    """
    given = {**_variables(function), variable: value}
    ours = [f"{each}={value}" for each, value in given.items() if each.startswith("BACKSTREAM_")]
    words = ",".join([*ours, *(["..."] if len(ours) < len(given) else [])])
    return f"aws lambda update-function-configuration --function-name {name} --environment 'Variables={{{words}}}'"


def _vault(patient: DoctorContext, name: str, function: Described) -> Check:
    what, own = "vault of the function", _variables(function).get(expected.VAULT_VARIABLE, "")
    place = patient.place
    here = "s3://BUCKET/PREFIX" if place is None else place.url
    mend = _configure(name, function, expected.VAULT_VARIABLE, here)
    if not own:
        return wrong(what, f"{expected.VAULT_VARIABLE} is not set: it keeps nothing", mend)
    if place is None:
        return ok(what, own)
    if own.rstrip("/") != place.url.rstrip("/"):
        return wrong(what, f"{own}, and this vault is {place.url}", mend)
    return ok(what, f"{own}, this one")


def _signatures(name: str, function: Described, catalog: Catalog) -> Check:
    """Compares the key in its environment with the catalog's."""
    what, variable, signing = "signatures", expected.SIGN_VARIABLE, catalog.signing
    own, wanted = _variables(function).get(variable, ""), "" if signing is None else signing.key
    if own == wanted:
        return ok(what, f"with {own}, as the catalog says" if own else "none, as the catalog says")
    if not wanted:
        found = f"{variable} is {own}, and the catalog names no key: nothing is covered, for `init` has not said that it is signed"
        return warning(what, found, f"backstream init {catalog.table} --sign {own}")
    mend = _configure(name, function, variable, wanted if wanted.startswith("kms:") else "kms:ARN")
    if not own and wanted.startswith("kms:"):
        found = (
            f"{variable} is not set: it signs with {wanted} as long as the catalog says so, "
            "and anyone who may write the catalog can change that"
        )
        return warning(what, found, mend)
    refused = "a restore with --verify-key refuses what it keeps"
    return wrong(what, f"{variable} is {own or 'not set'}, and the catalog names {wanted}: {refused}", mend)


def _requests(name: str, function: Described, catalog: Catalog) -> list[Check]:
    """Compares the settings of requests in its environment, which take precedence for it, with the catalog's.

    A setting that the environment does not name is the catalog's, as for every process.
    """
    what, own, said = "request settings", _variables(function), (catalog.requests or request_settings.USUAL).variables()

    def mend_of(setting: str, variable: str) -> str:
        if setting not in said:
            return f"backstream init {catalog.table} {_init_option(setting, own[variable])}"
        if variable != setting:
            return f"take {variable} out of the environment of {name}: what the catalog says holds then"
        return _configure(name, function, setting, said[setting])

    differ = []
    for setting in _INIT_OPTIONS:
        older = request_settings.OLDER_VARIABLES.get(setting, "")
        name_of_it = setting if own.get(setting) or not older else older
        if own.get(name_of_it) and not _is_same(own[name_of_it], said.get(setting, "")):
            found = f"{name_of_it} is {own[name_of_it]}, and the catalog says {said.get(setting, 'nothing')}"
            differ.append(wrong(what, f"{found}: objects of the function differ from all others", mend_of(setting, name_of_it)))
    return differ or [ok(what, "as the catalog says" if said else "none, as the catalog says")]


def _init_option(setting: str, value: str) -> str:
    """Returns the options of `init` that set it."""
    if setting == request_settings.BUCKET_KEY:
        return "--sse aws:kms --bucket-key" if value.lower() == "true" else "--no-bucket-key"
    return _INIT_OPTIONS[setting].format(value)


def _is_same(one: str, other: str) -> bool:
    """True if two values mean the same. A key of KMS has a long and a short name."""
    shorter, longer = sorted((one.lower(), other.lower()), key=len)
    return bool(shorter) and (shorter == longer or longer.endswith(f"/{shorter}"))


def _parallelization(name: str, function: Described, factor: int) -> Check:
    what, variable = "parallelization", expected.PARALLELIZATION_VARIABLE
    own = _variables(function).get(variable, "1")
    if own == str(factor):
        return ok(what, f"{factor}, as the mapping's")
    mend = _configure(name, function, variable, str(factor))
    found = f"{variable} is {own}, and the mapping's ParallelizationFactor {factor}"
    if factor > 1 and not (own.isdecimal() and int(own) > 1):
        return wrong(what, f"{found}: the recovery window claims an order that there is not", mend)
    return wrong(what, found, mend) if not own.isdecimal() else warning(what, found, mend)


def _resources(name: str, function: Described) -> Check:
    time, memory = int(function.get("Timeout") or 3), int(function.get("MemorySize") or 128)
    found = f"{time} s, {memory} MB"
    least = f"--timeout {max(time, expected.LEAST_TIMEOUT)} --memory-size {max(memory, expected.LEAST_MEMORY)}"
    mend = f"aws lambda update-function-configuration --function-name {name} {least}"
    if time < expected.LEAST_TIMEOUT:
        return warning("time and memory", f"{found}: little time for a batch and what is to be tried again", mend)
    if memory < expected.LEAST_MEMORY:
        return warning("time and memory", f"{found}: little memory, and a slow processor with it", mend)
    return ok("time and memory", found)


def _concurrency(patient: DoctorContext, name: str) -> Check:
    reserved = patient.account.reserved_concurrency(name)
    if reserved == 0:
        return wrong("concurrency", "0: it is not invoked at all", f"aws lambda delete-function-concurrency --function-name {name}")
    return ok("concurrency", "the account's" if reserved is None else f"{reserved} reserved")
