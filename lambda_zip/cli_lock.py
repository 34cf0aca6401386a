"""Lock files by version and by hash, from which `make` installs.

`requirements/cli.txt` is for the command line. `requirements/docs.txt` is for the docs' site and the package; `renew_docs` must
run in their environment.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from lambda_zip.wheels import name_in, renew

ROOT = Path(__file__).resolve().parents[1]
CLI_LOCK = ROOT / "requirements" / "cli.txt"
DOCS_LOCK = ROOT / "requirements" / "docs.txt"
DOCS_TOOLS = ("build", "mkdocs", "mkdocs-material", "twine")
EXTRAS = ("fast", "cli")
HEAD = """\
# What `backstream[cli]` installs, with the hashes of the wheels. Written by `make cli-lock`, not by hand.
#   pip install --require-hashes -r requirements/cli.txt && pip install --no-deps backstream
"""
DOCS_HEAD = """\
# What `make docs-site` and `make package` build with, with the hashes of the wheels. Written by `make docs-lock`, not by hand.
"""


def roots() -> list[str]:
    """The distributions that pyproject.toml names for the command line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (each for extra in EXTRAS for each in project["optional-dependencies"][extra])
    return sorted({name_in(each) for each in [*project["dependencies"], *extras]} - {project["name"]})


def renew_cli(lock: Path = CLI_LOCK) -> None:
    """Write the lock file, from this environment's versions. CannotBuild as of `renew`."""
    lock.parent.mkdir(exist_ok=True)
    renew(lock, roots(), HEAD)


def renew_docs(lock: Path = DOCS_LOCK) -> None:
    """Writes the lock file of the tools for site and package, from this environment's versions. CannotBuild as of `renew`."""
    renew(lock, DOCS_TOOLS, DOCS_HEAD)
