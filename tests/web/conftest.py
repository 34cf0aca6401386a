"""The screens need the extra `web`: without it these tests are skipped, and in CI, where it is installed, they fail."""

from __future__ import annotations

import os
from importlib.util import find_spec

MISSING = [each for each in ("starlette", "uvicorn", "jinja2") if find_spec(each) is None]
assert not (MISSING and os.environ.get("CI")), f"the extra `web` is not installed: {MISSING}"
collect_ignore_glob = ["test_*.py"] if MISSING else []
