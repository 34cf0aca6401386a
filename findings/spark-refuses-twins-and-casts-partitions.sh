#!/usr/bin/env bash
# Spark 4.3.0 infers a schema of JSON in which names are one without regard to case: an item with attributes Status and status cannot be
# read. It types the folders dt=2026-11-23/hour=04 as a date and a number. Lines read as text, with get_json_object, keep both names.
# Needs Java 17 or newer.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'pyspark==4.3.0'
"$here/venv/bin/python" - "$here" <<'PY'
import pathlib, sys
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

folder = pathlib.Path(sys.argv[1]) / "log" / "dt=2026-11-23" / "hour=04"
folder.mkdir(parents=True)
(folder / "lines.ndjson").write_text('{"NewImage":{"Status":{"S":"A"},"status":{"S":"b"}}}\n')
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
try:
    spark.read.json(str(folder)).collect()
    inferred = "read"
except Exception as error:
    inferred = str(error).splitlines()[0]
lines = spark.read.text(str(folder.parent.parent))
types = dict(lines.dtypes)
names = lines.select(*(F.get_json_object("value", f"$.NewImage.{name}.S") for name in ("Status", "status"))).first()
print("inferred:", inferred)
print("partitions:", types["dt"], types["hour"], "- as text:", tuple(names))
sys.exit("COLUMN_ALREADY_EXISTS" not in inferred or (types["dt"], types["hour"]) != ("date", "int") or tuple(names) != ("A", "b"))
PY
