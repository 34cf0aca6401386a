#!/usr/bin/env bash
# pyiceberg 0.12.0: when a catalog refuses a commit, and commit.retry.num-retries is 0, the commit's manifests and its manifest list are deleted at once.
# The commit may be in the table all the same: where no answer comes, botocore sends Glue's UpdateTable again, and the second one is refused since
# the first one has changed the table's version. Then the current snapshot has no manifest list, and nobody can read the table. With retries
# left, pyiceberg looks into the table first. The script stands for that lost answer with a catalog that refuses what it has just committed.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet 'pyiceberg[sql-sqlite]==0.12.0' 'pyarrow==26.0.1'
"$here/venv/bin/python" - "$here" <<'PY'
import logging
import sys

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException

here = sys.argv[1]
logging.disable()


class Resending(SqlCatalog):
    lost = False

    def commit_table(self, *words):
        done = super().commit_table(*words)
        if self.lost:
            self.lost = False
            raise CommitFailedException("the table was changed concurrently")
        return done


catalog = Resending("c", uri=f"sqlite:///{here}/c.db", warehouse=f"file://{here}/warehouse")
catalog.create_namespace("n")
rows = pa.table({"sequence": ["1", "2"]})
seen = {}
for retries in ("1", "0"):
    table = catalog.create_table(f"n.retries_{retries}", rows.schema, properties={"commit.retry.num-retries": retries})
    catalog.lost = True
    try:
        table.append(rows)
        told = "success"
    except CommitFailedException:
        told = "refused"
    try:
        found = str(len(catalog.load_table(f"n.retries_{retries}").scan().to_arrow()))
    except FileNotFoundError:
        found = "unreadable"
    seen[retries] = told, found
    print(f"commit.retry.num-retries {retries}: {told}; the table's rows: {found}")
sys.exit(seen != {"1": ("success", "2"), "0": ("refused", "unreadable")})
PY
