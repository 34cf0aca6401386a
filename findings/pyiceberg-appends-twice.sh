#!/usr/bin/env bash
# pyiceberg 0.12.0: a commit that finds another writer's snapshot is rebuilt upon it and tried again (commit.retry.num-retries is 4 unless the
# table says otherwise). Two runs of one job that append the same rows both succeed: the rows are there twice, also where the position of the
# job stands in the table's properties and was right when each run began. With the property set to 0 the second one fails.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'pyiceberg[sql-sqlite]==0.12.0' 'pyarrow==26.0.1'
"$here/venv/bin/python" - "$here" <<'PY'
import logging
import sys

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException

here = sys.argv[1]
logging.disable()
catalog = load_catalog("c", type="sql", uri=f"sqlite:///{here}/c.db", warehouse=f"file://{here}/warehouse")
catalog.create_namespace("n")
rows = pa.table({"sequence": ["1", "2"]})
seen = {}
for retries in (None, "0"):
    name = f"n.retries_{retries}"
    catalog.create_table(name, rows.schema, properties={} if retries is None else {"commit.retry.num-retries": retries})
    runs = [catalog.load_table(name), catalog.load_table(name)]  # both begin before either commits
    outcomes = []
    for run in runs:
        assert "position" not in run.properties
        try:
            with run.transaction() as transaction:
                transaction.set_properties(position="2")
                transaction.append(rows)
            outcomes.append("committed")
        except CommitFailedException:
            outcomes.append("refused")
    seen[retries] = (outcomes, len(catalog.load_table(name).scan().to_arrow()))
    print(f"commit.retry.num-retries {retries or 'unset'}: the runs {' and '.join(outcomes)}, {seen[retries][1]} rows of 2")
sys.exit(seen != {None: (["committed", "committed"], 4), "0": (["committed", "refused"], 2)})
PY
