"""The zip that is deployed, for this interpreter: built once for all the processes of a test run."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lambda_zip.build import build
from lambda_zip.measure import CLEAN, clean_environment
from lambda_zip.targets import here


def built(factory: pytest.TempPathFactory) -> Path:
    """The zip. The first process to ask builds it, others wait."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    path = shared / f"{here().name}.zip"
    with (shared / "lambda-zip.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return path if path.exists() else build(here(), shared)


def run_in(folder: Path, script: str, environment: Mapping[str, str] | None = None) -> Any:
    """What a script prints, as JSON, in a clean interpreter that finds packages in that folder and nowhere else."""
    whole = f"import sys; sys.path.insert(0, {str(folder)!r})\n{script}"
    done = subprocess.run(
        [*CLEAN, "-c", whole], cwd="/", env=clean_environment(environment or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
