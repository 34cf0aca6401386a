"""The bill of materials: valid CycloneDX, names all that is in the zip, and the same for the same."""

from __future__ import annotations

import hashlib
import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from backstream.version import __version__
from lambda_zip import sbom
from lambda_zip.build import CACHE, bill_of
from lambda_zip.targets import here
from lambda_zip.wheels import locked, wheels


@pytest.fixture
def bill(lambda_zip: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bill_of(lambda_zip).read_text())
    return found


def test_it_is_valid(lambda_zip: Path) -> None:
    # Imported here: the import makes 39 grammars, four seconds of the processor, for which each pytest worker would pay.
    strict, version = (
        import_module("cyclonedx.validation.json").JsonStrictValidator,
        import_module("cyclonedx.schema").SchemaVersion,
    )
    text = bill_of(lambda_zip).read_text()
    assert strict(version.V1_6).validate_str(text) is None
    broken = text.replace('"type": "library"', '"type": "book"', 1)
    assert strict(version.V1_6).validate_str(broken) is not None


def test_it_names_every_distribution_with_version_hash_and_licence(bill: dict[str, Any]) -> None:
    named = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    assert named == set(locked())
    for each in bill["components"]:
        (wheel,) = each["externalReferences"]
        assert {one["content"] for one in wheel["hashes"]} <= locked()[f"{each['name']}=={each['version']}"]
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        assert all(
            licence["license"].get("id") or licence["license"]["name"] not in ("", "unknown") for licence in each["licenses"]
        )
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    (botocore,) = [each for each in needs if "botocore" in each]
    assert any("urllib3" in each for each in needs[botocore])


def test_it_names_every_module_of_ours_by_its_hash(bill: dict[str, Any], lambda_zip: Path) -> None:
    ours = bill["metadata"]["component"]
    assert (ours["name"], ours["version"]) == ("backstream", __version__)
    assert ours["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(lambda_zip.read_bytes()).hexdigest()}]
    with zipfile.ZipFile(lambda_zip) as opened:
        wanted = {
            name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist() if name.startswith("backstream/")
        }
    assert {each["name"]: each["hashes"][0]["content"] for each in ours["components"]} == wanted


def test_the_same_contents_give_the_same_bytes(lambda_zip: Path) -> None:
    with zipfile.ZipFile(lambda_zip) as opened:
        files = {name: opened.read(name) for name in reversed(opened.namelist())}
    again = sbom.encode(sbom.bill(files, lambda_zip, wheels(here(), CACHE)))
    assert again == bill_of(lambda_zip).read_bytes()
    other = sbom.bill({**files, "backstream/version.py": b"other"}, lambda_zip, wheels(here(), CACHE))
    assert other["serialNumber"] != json.loads(again)["serialNumber"]
