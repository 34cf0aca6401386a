"""What lies in the zip: our modules, and of each wheel what the function can come to use."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lambda_zip.models import without_prose
from lambda_zip.modules import SOURCE, our_files
from lambda_zip.targets import Target
from lambda_zip.wheels import wheels

# Those that apps/config.py makes clients of, those that a handler may tell or ask, and those that botocore's credentials come from.
OURS = ("application-autoscaling", "cloudwatch", "dynamodb", "dynamodbstreams", "kinesis", "kms", "lambda", "s3")
SERVICES = frozenset((*OURS, "signin", "sso", "sso-oidc", "sts"))
_DATA = re.compile(r"botocore/data/(?P<service>[^/]+)/(?P<version>\d{4}-\d\d-\d\d)/")
# Types, programs, lists of what pip installed; zstandard's second way to the same library; time zones, which botocore never names.
_NOT_NEEDED = re.compile(
    r"""
    .*/__pycache__/.* | .*\.(?:pyc|pyi|pxd|h|c) | .*/py\.typed
    | [^/]+\.data/.*
    | [^/]+\.dist-info/(?!METADATA$|licen[cs]es/|LICEN[CS]E|NOTICE|AUTHORS|COPYING).*
    | botocore/data/.*/examples-1\.json
    | zstandard/(?:_cffi\..*|backend_cffi\.py|backend_rust\..*|_rust\..*)
    | dateutil/zoneinfo/.*\.tar\.gz
    """,
    re.VERBOSE,
)


def contents(target: Target, cache: Path) -> dict[str, bytes]:
    """Path in the zip to what is there. CannotBuild where the wheels cannot be had."""
    files = {path.as_posix(): (SOURCE / path).read_bytes() for path in our_files()}
    for wheel in wheels(target, cache):
        files.update(of_wheel(wheel))
    return files


def of_wheel(wheel: Path) -> Mapping[str, bytes]:
    """What of a wheel is needed. The licence goes with it, and the metadata, by which scanners know what is deployed."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        newest = _newest_models(names)
        needed = [name for name in names if not _NOT_NEEDED.fullmatch(name) and _of_service(name, newest)]
        return without_prose({name: archive.read(name) for name in needed})


def _newest_models(names: list[str]) -> Mapping[str, str]:
    """The newest version of each wanted service's model: botocore takes that, unless asked for another."""
    newest: dict[str, str] = {}
    for service, version in _models(names):
        if service in SERVICES:
            newest[service] = max(version, newest.get(service, ""))
    return newest


def _models(names: list[str]) -> Iterator[tuple[str, str]]:
    return ((found["service"], found["version"]) for name in names if (found := _DATA.match(name)))


def _of_service(name: str, newest: Mapping[str, str]) -> bool:
    """Whether a file is no service's, or belongs to the model that botocore takes of a wanted one."""
    found = _DATA.match(name)
    return found is None or newest.get(found["service"]) == found["version"]
