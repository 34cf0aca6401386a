"""Takes the pictures of the docs from the programs themselves: `make screens`.

    PYTHONPATH=tests python -m kit.screens docs/screens

The page of a drill is that of five real drills of 300 flights on the embedded servers. The screens of the browser are taken by
`tests/web/test_browser.py` if the variable SCREENS names a folder, since that test has a night to show.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from backstream.apps.embedded import EmbeddedServers
from kit.aws import Aws
from kit.browser import browsing
from kit.howto import put_rows

BIN = Path(sys.executable).parent
ROWS = 300
DRILLS = 5
PAGE = {"width": 1000, "height": 900}


def drilled(folder: Path) -> Path:
    """Returns the page of the last of some drills of a table of flights."""
    with EmbeddedServers() as servers:
        aws = Aws(servers.environment())
        environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": str(folder),
            **aws.environment,
            "BACKSTREAM_VAULT": "s3://our-vault/prod",
        }
        put_rows(aws, "flights", [{"id": {"S": f"UA{each}"}, "status": {"S": "departed"}} for each in range(ROWS)], created=True)

        def run(*words: str) -> None:
            subprocess.run([BIN / "backstream", *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

        run("init", "flights", "--create-bucket")
        run("backfill", "flights")
        for _ in range(DRILLS):
            run("tail", "flights", "--until-caught-up")
            run("drill", "flights", "--rpo", "30m", "--rto", "2h", "--report", "drill.html")
    return folder / "drill.html"


def main(target: Path) -> None:
    """Writes the pictures into a folder."""
    with tempfile.TemporaryDirectory() as scratch, browsing() as browser:
        page = browser.new_page(viewport={"width": PAGE["width"], "height": PAGE["height"]})
        page.goto(drilled(Path(scratch)).as_uri())
        page.screenshot(path=target / "drill-page.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
