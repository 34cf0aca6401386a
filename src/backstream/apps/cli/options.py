"""The options that several commands share, and what stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.engines import EngineKind
from backstream.apps.selection.table_selection import TableSelection

TableName = Annotated[str, Argument(metavar="TABLE", help="The DynamoDB table's name.", show_default=False)]
Tables = Annotated[TableSelection, Argument(metavar="TABLE...", help="The DynamoDB tables' names.")]
AllTables = Annotated[TableSelection, Argument(metavar="[TABLE...]", help="The DynamoDB tables' names [all of the vault's].")]
ALL = TableSelection()
Vault = Annotated[
    str | None,
    Option("--vault", metavar="URL", help="s3://bucket/prefix or file:///folder [env: BACKSTREAM_VAULT]", show_default=False),
]
Json = Annotated[bool, Option("--json", help="A report for programs: JSON on stdout.")]
At = Annotated[
    str,
    Option(
        "--at",
        metavar="MOMENT",
        help="2026-11-23T04:15:00Z, epoch (milli)seconds, '15m ago', 'yesterday 03:00Z' or 'now'.",
        show_default=False,
    ),
]
Key = Annotated[
    str,
    Argument(metavar="KEY", help='{"id":{"S":"a"}} or, by the table\'s key schema, {"id":"a"}.', show_default=False),
]
VerifyKey = Annotated[
    str | None,
    Option(
        "--verify-key",
        metavar="FILE|kms:ARN",
        help="Trust only objects signed with it [env: BACKSTREAM_VERIFY_KEY].",
        show_default=False,
    ),
]
MinHead = Annotated[
    int | None,
    Option("--min-head", metavar="N", min=0, help="Refuse a vault with a smaller head.", show_default=False),
]
AllowGap = Annotated[bool, Option("--allow-gap", help="Continue despite uncertainties; they are named.")]
Engine = Annotated[EngineKind, Option("--engine", metavar="local|spark", help="Where states are computed: docs/spark.md.")]
Master = Annotated[
    str | None,
    Option("--master", metavar="URL", help="Spark's: yarn or spark://host:7077 [spark-submit's].", show_default=False),
]
FromFile = Annotated[
    str | None,
    Option(
        "--from-file",
        metavar="PATH|URL",
        help="Compare what a dump, an export or files hold with TABLE: docs/import.md.",
        show_default=False,
    ),
]
FileKeys = Annotated[
    str | None,
    Option(
        "--key-schema",
        metavar="id:S[,n:N]",
        help="With --from-file: the key, hash first, if the files do not tell it.",
        show_default=False,
    ),
]
NoChecksums = Annotated[bool, Option("--no-checksums", help="Read an export copied without its .md5 files; counts are checked.")]
CsvDelimiter = Annotated[
    str | None,
    Option("--csv-delimiter", metavar="WORD", help="comma, tab, colon, semicolon, pipe or space [comma].", show_default=False),
]
CsvColumns = Annotated[
    str | None,
    Option("--csv-columns", metavar="a,b,c", help="The columns of CSV files without a header.", show_default=False),
]
Rpo = Annotated[
    str | None,
    Option("--rpo", metavar="DURATION", help="Recovery point objective, e.g. 30m. Exit 3 if it is missed.", show_default=False),
]
Rto = Annotated[
    str | None,
    Option("--rto", metavar="DURATION", help="Recovery time objective, e.g. 2h. Exit 3 if it is missed.", show_default=False),
]
Metrics = Annotated[
    Path | None, Option("--metrics", metavar="PATH", help="Write a Prometheus text file, atomically.", show_default=False)
]
Emf = Annotated[
    Path | None,
    Option("--emf", metavar="PATH", help="Add a line in CloudWatch's EMF to a file; - for stdout.", show_default=False),
]
