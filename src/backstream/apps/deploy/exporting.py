"""Resources for `template --export`: a scheduled function that appends changes to Iceberg tables in Glue, and its role.

The function is an image: pyarrow and pyiceberg do not fit the zip. docs/notes/0070-iceberg-catalogs-and-a-schedule.md says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.apps.deploy import functions, roles
from backstream.apps.deploy.choices import BUCKET, PLACE, PREFIX, Choices
from backstream.apps.deploy.expressions import Given, Of, Output, Parameter, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.roles import Statement, Tables, allow
from backstream.apps.deploy.tables import Target
from backstream.apps.lambdas.export_settings import CATALOG_VARIABLE, GLUE, HANDLER, NAMESPACE, TO_VARIABLE
from backstream.apps.verbs.tabular.lakes import CHANGES, table_name
from backstream.errors import UsageError

EXPORT, EXPORT_LOG, EXPORT_ROLE = "Export", "ExportLog", "ExportRole"
TIMEOUT = 900  # seconds: all that Lambda gives
MEMORY, DISK = 3_008, 8_192  # MB
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
IMAGE = r"[0-9]{12}[.]dkr[.]ecr[.][a-z0-9-]+[.]amazonaws[.]com([.]cn)?/[a-z0-9._/-]+(:[a-zA-Z0-9._-]+|@sha256:[0-9a-f]{64})"


def check(choices: Choices) -> None:
    """Raises UsageError for an export that cannot be."""
    if choices.export is None:
        return
    if PLACE.fullmatch(choices.export) is None:
        raise UsageError(f"not a place for Iceberg tables: {choices.export!r}", hint="--export s3://BUCKET/FOLDER")
    if choices.replica is not None:
        raise UsageError("a replica has no vault whose changes could be exported", hint="Leave --export out.")
    if choices.signing_profile:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
        raise UsageError(
            "the exporting function is an image, and Lambda checks no signature of images",
            hint="Leave --signing-profile out, or --export: run `backstream export --follow` by a schedule of your own.",
        )
    bucket, prefix = _place(choices)
    if bucket == choices.existing_bucket and f"{prefix}/".startswith(f"{choices.prefix}/"):
        raise UsageError(f"{choices.export} lies within the vault", hint="Name another folder, or another bucket.")
    _check_names(choices.tables)


def _check_names(tables: Sequence[str]) -> None:
    """Raises UsageError if two tables would be one Iceberg table: the function would export one of them alone."""
    taken = dict[str, str]()
    for each in dict.fromkeys(tables):
        name = f"{NAMESPACE}.{table_name(each, CHANGES)}"
        if (other := taken.setdefault(name, each)) != each:
            raise UsageError(
                f"{other} and {each} would share the Iceberg table {name}",
                hint=f"Leave one of them out here, and give it a name: backstream export {each} --follow --as NAMESPACE.NAME.",
            )


def _place(choices: Choices) -> tuple[str, str]:
    found = PLACE.fullmatch(choices.export or "")
    return ("", "") if found is None else (found[1], found[2])


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields what is asked: the image, the place of the tables, and when changes are appended."""
    if choices.export is None:
        return
    bucket, prefix = _place(choices)
    yield Parameter("ExportImageUri", "The image of the exporting function, in ECR of this region: docs/export.md.", pattern=IMAGE)
    yield Parameter("ExportBucket", "The bucket of the Iceberg tables. It is there already.", bucket, pattern=BUCKET)
    yield Parameter("ExportPrefix", "The folder of the Iceberg tables in it.", prefix, pattern=PREFIX)
    meaning = "When new changes are appended to the Iceberg tables."
    yield Parameter("ExportSchedule", meaning, choices.export_schedule, pattern=r"(rate|cron)[(].+[)]")


def resources(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the function with its log and role, and its schedule."""
    if choices.export is None:
        return
    yield functions.log_group(EXPORT_LOG, "export", choices)
    yield _role(choices, targets)
    yield _function(choices)
    why = "The next run goes on where one ended, so a run is not tried twice more, as Lambda would."
    yield functions.tried_once(EXPORT, why)
    at = (Given("ExportSchedule"), {"Mode": "OFF"}, Of(EXPORT))
    name = text(StackValue.STACK, "-export")
    yield functions.started("Exports", name, "The export of all tables.", *at, functions.of_all(targets, "}"))


def outputs(choices: Choices) -> Iterator[Output]:
    """Yields the role: Lake Formation and the bucket's key may have to let it in."""
    if choices.export is not None:
        yield Output("ExportRoleArn", "The role of the export: docs/export.md.", Of(EXPORT_ROLE))


def _function(choices: Choices) -> Resource:
    """https://docs.aws.amazon.com/lambda/latest/dg/images-parms.html"""
    variables: dict[str, Value] = {
        **functions.vault_variables(choices),
        TO_VARIABLE: text("s3://", Given("ExportBucket"), "/", Given("ExportPrefix")),
        CATALOG_VARIABLE: GLUE,
    }
    properties: dict[str, Value] = {
        "FunctionName": text(StackValue.STACK, "-export"),
        "PackageType": "Image",
        "Architectures": [Given("Architecture")],
        "Code": {"ImageUri": Given("ExportImageUri")},
        "ImageConfig": {"Command": [HANDLER]},
        "Role": Of(EXPORT_ROLE),
        "MemorySize": MEMORY,
        "Timeout": TIMEOUT,
        "EphemeralStorage": {"Size": DISK},
        "Environment": {"Variables": variables},
    }
    if choices.environment_key:
        properties["KmsKeyArn"] = Given("EnvironmentKeyArn")
    why = "Appends every change of a complete hour to Iceberg tables, exactly once."
    return Resource(EXPORT, "AWS::Lambda::Function", properties, why, after=(EXPORT_LOG,))


def _role(choices: Choices, targets: Sequence[Target]) -> Resource:
    """Returns its role. It reads the vault, names columns there, and adds files and commits; it may delete nothing."""

    def statements(tables: Tables) -> Iterator[Statement]:
        yield from roles.reading_vault(choices, tables)
        yield roles.of_vault(choices, "NameColumns", ["s3:PutObject"], roles.objects_of(choices, tables, "columns.json"))
        lake = text("arn:", StackValue.PARTITION, ":s3:::", Given("ExportBucket"))
        files = text(lake, "/", Given("ExportPrefix"), "/*")
        # No s3:DeleteObject: what a crash left is named, and `--remove-orphans` is for a person.
        yield allow("WriteLake", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], [files])
        yield allow("ListLake", ["s3:ListBucket", "s3:GetBucketLocation"], [lake])
        catalog, database = _glue("catalog"), _glue("database/", NAMESPACE)
        yield allow("NameTables", ["glue:GetDatabase", "glue:CreateDatabase"], [catalog, database])
        yield allow(
            "CommitTables", ["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"], [catalog, database, *_tables(tables)]
        )
        yield from roles.keys(choices)
        yield roles.log(functions.log_name("export"))

    why = "The permissions of the export: read the vault, and add to Iceberg tables. It can remove nothing."
    return roles.fitting(EXPORT_ROLE, "export", statements, targets, why)


def _tables(tables: Tables) -> list[Text]:
    """Returns the ARNs of the tables in Glue. Its names have no capital letters: a name that is asked later may be any."""
    names = [each.table for each in tables.targets]
    if not tables.whole or None in names:
        return [_glue("table/", NAMESPACE, "/*")]
    return [_glue("table/", NAMESPACE, "/", table_name(each, CHANGES)) for each in names if each is not None]


def _glue(*name: Part) -> Text:
    return text("arn:", StackValue.PARTITION, ":glue:", StackValue.REGION, ":", StackValue.ACCOUNT, ":", *name)
