"""What lies in the zip, that it is a function of its inputs, and that what does not fit a target is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lambda_zip import archive, wheels
from lambda_zip.build import CACHE, ROOT, build
from lambda_zip.check import check, strangers
from lambda_zip.contents import SERVICES, contents
from lambda_zip.models import ENDPOINTS, without_prose
from lambda_zip.modules import our_files
from lambda_zip.targets import LAMBDA, Target, here
from lambda_zip.wheels import CannotBuild, locked

PACKAGES = {"backstream", "botocore", "curl", "dateutil", "jmespath", "msgspec", "pycurl", "six.py", "urllib3", "zstandard"}
HANDLER = "backstream/apps/aws_lambda.py"
MEGABYTE = 1_000_000


@pytest.fixture
def files(lambda_zip: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(lambda_zip) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


# --- reproducible -----------------------------------------------------------------------------------------------------------------


def test_another_build_gives_the_same_bytes(lambda_zip: Path, tmp_path: Path) -> None:
    """By another process with another hash seed, time zone, umask and folder."""
    command = f"umask 077; cd '{tmp_path}' && exec '{sys.executable}' -m lambda_zip --here --out again"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = tmp_path / "again" / lambda_zip.name
    assert again.read_bytes() == lambda_zip.read_bytes()
    assert hashlib.sha256(again.read_bytes()).hexdigest() in done.stdout


def test_names_are_sorted_and_times_and_modes_all_the_same(lambda_zip: Path) -> None:
    with zipfile.ZipFile(lambda_zip) as opened:
        entries = opened.infolist()
    assert [each.filename for each in entries] == sorted({each.filename for each in entries})
    assert {(each.date_time, each.external_attr >> 16, each.create_system, each.extra) for each in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644, 3, b"")
    }


def test_the_order_in_which_files_are_found_is_of_no_account(tmp_path: Path) -> None:
    some = {"b.py": b"2", "a/c.py": b"3", "a.py": b"1"}
    archive.write(tmp_path / "one.zip", some)
    archive.write(tmp_path / "two.zip", dict(reversed(some.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_digest_of_the_contents_tells_contents_and_names_and_nothing_else(tmp_path: Path) -> None:
    def digest(files: Mapping[str, bytes], level: int) -> str:
        with zipfile.ZipFile(tmp_path / "some.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=level) as opened:
            for name, body in files.items():
                opened.writestr(name, body)
        return archive.contents_digest(tmp_path / "some.zip")

    files = {"a.py": b"x" * 1000, "b.py": b"y"}
    assert digest(files, 1) == digest(dict(reversed(files.items())), 9)
    assert len({digest(files, 1), digest({**files, "b.py": b"z"}, 1), digest({"a.py": b"x" * 1000, "c.py": b"y"}, 1)}) == 3


# --- what is in it ----------------------------------------------------------------------------------------------------------------


def test_it_is_small(lambda_zip: Path) -> None:
    assert lambda_zip.stat().st_size < 15 * MEGABYTE


def test_it_holds_the_packages_that_the_function_needs_with_their_licences(files: Mapping[str, bytes]) -> None:
    top = {name.split("/")[0] for name in files}
    packages = {name for name in top if not name.endswith((".dist-info", ".libs", ".dylibs"))}
    assert packages == PACKAGES
    described = {re.sub(r"-[^-]+\.dist-info$", "", name).replace("_", "-") for name in top if name.endswith(".dist-info")}
    assert described == {requirement.split("==")[0] for requirement in locked()}
    for name in (name for name in top if name.endswith(".dist-info")):
        within = [each.removeprefix(f"{name}/") for each in files if each.startswith(f"{name}/")]
        assert any("LICEN" in each.upper() for each in within), name
        assert not {"RECORD", "WHEEL", "INSTALLER", "direct_url.json"} & set(within)


def test_it_holds_our_handler_library_and_operations_and_no_other_way_in(files: Mapping[str, bytes]) -> None:
    ours = {name for name in files if name.startswith("backstream/")}
    assert {HANDLER, "backstream/apps/library.py", "backstream/apps/monitoring/metrics.py"} <= ours
    assert "backstream/operations/drill/run.py" in ours
    others = ("cli/", "demo/", "pages/", "embedded.py", "entry.py")
    assert not [name for name in ours if name.removeprefix("backstream/apps/").startswith(others)]
    assert "backstream/__main__.py" not in ours
    assert not [name for name in files if "__pycache__" in name or name.endswith((".pyc", ".pyi")) or "/tests/" in name]
    assert all(files[name] == (ROOT / "src" / name).read_bytes() for name in ours)


def test_a_new_handler_is_in_it_with_all_that_it_imports(tmp_path: Path) -> None:
    for name, text in {
        "backstream/__init__.py": "",
        "backstream/apps/__init__.py": "",
        "backstream/apps/aws_new.py": "from backstream.operations import verb\nimport backstream.model.noun as noun",
        "backstream/apps/library.py": "def f():\n    from backstream.stores.one import thing",
        "backstream/apps/monitoring/metrics.py": "",
        "backstream/apps/unused.py": "",
        "backstream/engine/local/engine.py": "",
        "backstream/operations/__init__.py": "from backstream.operations import other",
        "backstream/operations/verb.py": "",
        "backstream/operations/other.py": "",
        "backstream/model/__init__.py": "",
        "backstream/model/noun/__init__.py": "",
        "backstream/model/noun/unused.py": "",
        "backstream/stores/__init__.py": "",
        "backstream/stores/one.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {path.as_posix().removeprefix("backstream/") for path in our_files(tmp_path)}
    packages = {f"{each}__init__.py" for each in ("", "apps/", "operations/", "model/", "model/noun/", "stores/")}
    modules = {
        "apps/aws_new.py",
        "apps/library.py",
        "apps/monitoring/metrics.py",
        "engine/local/engine.py",
        "operations/verb.py",
        "operations/other.py",
        "stores/one.py",
    }
    assert found == packages | modules


def test_of_botocores_data_only_the_newest_models_of_services_that_are_called(files: Mapping[str, bytes]) -> None:
    data = [name.removeprefix("botocore/data/").split("/") for name in files if name.startswith("botocore/data/")]
    assert {parts[0] for parts in data if len(parts) > 1} == SERVICES
    for service in SERVICES:
        versions = {parts[1] for parts in data if parts[0] == service}
        assert len(versions) == 1, service
        assert [service, *versions, "service-2.json"] in data
    assert not [name for name in files if name.endswith("examples-1.json")]


def test_models_lose_their_prose_and_nothing_else() -> None:
    model = {
        "metadata": {"endpointPrefix": "monitoring"},
        "documentation": "<p>prose</p>",
        "shapes": {
            "Part": {"members": {"documentation": {"shape": "Text"}, "b": {"shape": "B", "documentation": "more"}, "a": {}}}
        },
        "list": [{"documentation": ""}, 1, None],
    }
    service = "botocore/data/cloudwatch/2010-08-01/service-2.json"
    made = without_prose({f"{service}.gz": gzip.compress(json.dumps(model).encode()), "botocore/a.json.gz": b"another's"})
    assert made.keys() == {service, "botocore/a.json.gz"}
    kept = json.loads(made[service])
    assert kept["shapes"]["Part"]["members"]["documentation"] == {"shape": "Text"}
    assert list(kept["shapes"]["Part"]["members"]) == ["documentation", "b", "a"]
    assert kept["shapes"]["Part"]["members"]["b"] == {"shape": "B", "documentation": ""}
    assert (kept["documentation"], kept["list"]) == ("", [{"documentation": ""}, 1, None])


def test_endpoints_stay_of_the_services_whose_models_are_there() -> None:
    """They go by their endpoint's prefix there, not by their name."""
    model = gzip.compress(json.dumps({"metadata": {"endpointPrefix": "monitoring"}}).encode())
    partition = {
        "defaults": {"hostname": "{service}.{region}"},
        "regions": {"r": {}},
        "services": {"monitoring": {"a": 1}, "ec2": {}},
    }
    endpoints = json.dumps({"partitions": [partition], "version": 3}).encode()
    made = without_prose({"botocore/data/cloudwatch/2010-08-01/service-2.json.gz": model, ENDPOINTS: endpoints})
    expected = {"partitions": [{**partition, "services": {"monitoring": {"a": 1}}}], "version": 3}
    assert json.loads(made[ENDPOINTS]) == expected


# --- for whom it is ---------------------------------------------------------------------------------------------------------------


def test_every_extension_module_is_for_this_interpreter_and_machine(files: Mapping[str, bytes]) -> None:
    extensions = [name for name in files if re.search(r"/(_core|backend_c|_pycurl)\.", name)]
    assert len(extensions) == 3
    assert all(name.endswith(here().tag) for name in extensions)
    assert strangers(files, here()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at ELF files of this machine")
def test_what_is_for_another_interpreter_or_machine_is_refused(files: Mapping[str, bytes]) -> None:
    this = here()
    other = "aarch64" if this.machine == "x86_64" else "x86_64"
    core = next(name for name in files if "_core." in name)
    with pytest.raises(CannotBuild, match=re.escape(core)):
        check(files, Target(this.python, other, ("any",)))
    with pytest.raises(CannotBuild, match=re.escape(core)):
        check(files, Target("3.99", this.machine, ("any",)))
    library = next(name for name in files if ".libs/libcurl" in name)
    with pytest.raises(CannotBuild, match="libcurl"):
        check({library: files[library]}, Target(this.python, other, ("any",)))
    with pytest.raises(CannotBuild, match="libcurl"):
        check({library: b"\x7fELF"}, Target(this.python, this.machine, ("any",)))


@pytest.mark.soak
@pytest.mark.parametrize("target", LAMBDA, ids=lambda target: target.architecture)
def test_lambdas_own_zips(target: Target, lambda_zip: Path, tmp_path: Path) -> None:
    """They differ from the one at hand in their extension modules, and in nothing else."""
    path = build(target, tmp_path)
    assert path.stat().st_size < 15 * MEGABYTE
    with zipfile.ZipFile(path) as theirs, zipfile.ZipFile(lambda_zip) as ours:
        bodies = {name: theirs.read(name) for name in theirs.namelist()}
        sources = {name for name in ours.namelist() if name.endswith((".py", ".json", ".pem", "METADATA"))}
        assert {name for name in bodies if name.endswith((".py", ".json", ".pem", "METADATA"))} == sources
        assert all(bodies[name] == ours.read(name) for name in sources)
    extensions = [name for name in bodies if re.search(r"/(_core|backend_c|_pycurl)\.", name)]
    assert len(extensions) == 3
    assert all(name.endswith(f".cpython-{target.python.replace('.', '')}-{target.machine}-linux-gnu.so") for name in extensions)
    machine = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}[target.machine]
    assert {body[18:20] for name, body in bodies.items() if body[:4] == b"\x7fELF"} == {machine}


# --- the lock ---------------------------------------------------------------------------------------------------------------------


def test_a_wheel_whose_hash_is_not_locked_is_not_taken(lambda_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip is not asked for what is there, and what was tampered with counts as not there."""
    assert lambda_zip.exists()
    kept = wheels.wheels(here(), CACHE)
    copies = tmp_path / f"{here().python}-{here().machine}-here"
    copies.mkdir()
    for wheel in kept:
        (copies / wheel.name).write_bytes(wheel.read_bytes())
    monkeypatch.setattr(wheels, "_pip", lambda *_: subprocess.CompletedProcess([], 1, "", "no index"))
    assert [wheel.name for wheel in wheels.wheels(here(), tmp_path)] == [wheel.name for wheel in kept]
    tampered = next(copies.glob("msgspec-*.whl"))
    tampered.write_bytes(tampered.read_bytes() + b"\0")
    with pytest.raises(CannotBuild, match="no index"):
        contents(here(), tmp_path)


def test_everything_that_the_core_and_fast_need_is_locked_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(each) for each in (*project["dependencies"], *project["optional-dependencies"]["fast"])]
    versions = dict(requirement.split("==") for requirement in locked())
    assert versions.keys() == wheels.needed([each.name for each in wanted])
    assert all(each.specifier.contains(versions[each.name]) for each in wanted)
    assert {each.name for each in wanted} == set(wheels.ROOTS)
    assert all(hashes for hashes in locked().values())


def test_a_lock_that_names_nothing_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("msgspec\n")
    with pytest.raises(CannotBuild, match="lambda-lock"):
        locked(tmp_path / "requirements.txt")
