"""The function's code as a zip, from what is installed here."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("backstream", "msgspec", "zstandard")  # Lambda's own runtime brings botocore


def bundle() -> bytes:
    """The function's code: our package and what it needs."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for package in PACKAGES:
            spec = find_spec(package)
            assert spec is not None
            assert spec.origin is not None
            folder = Path(spec.origin).parent
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, Path(package) / path.relative_to(folder))
    return body.getvalue()
