"""The bill of materials of a zip, in CycloneDX's JSON: what is in it, which version, by which hash, under which licence.

The same contents give the same bytes: there is no time in it, and the serial number follows from the contents.
Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from backstream.version import __version__
from lambda_zip.wheels import canonical, name_in

SPEC = "1.6"
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+")
_CLASSIFIER = "License :: OSI Approved :: "


def encode(found: Mapping[str, Any]) -> bytes:
    """The bill as JSON, the same for the same."""
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def bill(files: Mapping[str, bytes], zip_path: Path, wheels: Sequence[Path]) -> dict[str, Any]:
    """The bill. `files`: path in the zip to contents; `zip_path`: the zip, for its name and hash; `wheels`: that were taken."""
    ours = _ours(files, zip_path)
    digests = {canonical(path.name.split("-")[0]): hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
    components = [_component(each, digests) for each in _distributions(files)]
    references = {each["name"]: each["bom-ref"] for each in components}
    needs = [_dependency(each, references) for each in _distributions(files)]
    roots = {"ref": ours["bom-ref"], "dependsOn": sorted(references.values())}
    digest = hashlib.sha256(json.dumps([ours, components], sort_keys=True).encode()).hexdigest()
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": ours},
        "components": components,
        "dependencies": [roots, *needs],
    }


def _ours(files: Mapping[str, bytes], zip_path: Path) -> dict[str, Any]:
    """Our own part: the modules, each by its hash, and the zip's own hash."""
    inner = [
        {"type": "file", "name": name, "bom-ref": f"file:{name}", "hashes": _hashes(hashlib.sha256(body).hexdigest())}
        for name, body in sorted(files.items())
        if name.startswith("backstream/")
    ]
    return {
        "type": "application",
        "bom-ref": f"pkg:pypi/backstream@{__version__}",
        "name": "backstream",
        "version": __version__,
        "purl": f"pkg:pypi/backstream@{__version__}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": _hashes(hashlib.sha256(zip_path.read_bytes()).hexdigest()),
        "properties": [{"name": "backstream:zip", "value": zip_path.name}],
        "components": inner,
    }


def _distributions(files: Mapping[str, bytes]) -> Sequence[Message]:
    found = [message_from_bytes(body) for name, body in files.items() if _METADATA.fullmatch(name)]
    return sorted(found, key=_name)


def _component(metadata: Message, digests: Mapping[str, str]) -> dict[str, Any]:
    """A distribution, and the wheel that it was taken from: not all of that is in the zip."""
    name, version = _name(metadata), str(metadata["Version"])
    purl = f"pkg:pypi/{name}@{version}"
    wheel = {"type": "distribution", "url": f"https://pypi.org/project/{name}/{version}/", "hashes": _hashes(digests[name])}
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "description": str(metadata["Summary"] or ""),
        "licenses": [{"license": each} for each in _licences(metadata)],
        "externalReferences": [wheel],
    }


def _dependency(metadata: Message, references: Mapping[str, str]) -> dict[str, Any]:
    needs = {name_in(each) for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each}
    return {"ref": references[_name(metadata)], "dependsOn": sorted(references[each] for each in needs & references.keys())}


def _licences(metadata: Message) -> Iterator[dict[str, str]]:
    """An SPDX identifier where the metadata gives one, else the words that it has."""
    expression = str(metadata["License-Expression"] or "")
    if expression and _SPDX.fullmatch(expression):
        yield {"id": expression}
        return
    words = [each.removeprefix(_CLASSIFIER) for each in metadata.get_all("Classifier", []) if each.startswith(_CLASSIFIER)]
    yield {"name": expression or " or ".join(words) or str(metadata["License"] or "unknown").splitlines()[0]}


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _name(metadata: Message) -> str:
    return canonical(str(metadata["Name"]))
