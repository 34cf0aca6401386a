"""The limit: `wrk`, a load tool in C, sends the same requests to the same stub."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks import canned
from benchmarks.measure import Measured
from benchmarks.processes import CannotRun

MISSING = "not installed (apt-get install wrk)"
SECONDS, CONNECTIONS = 1, 32
_DONE = re.compile(r"(\d+) requests in ")
_OBJECT = f"/{canned.BUCKET}/{canned.object_name(0)}"
_JSON = {"Content-Type": "application/x-amz-json-1.0"}


def installed() -> bool:
    """Whether it can be run."""
    return shutil.which("wrk") is not None


def version() -> str:
    """What it says of itself."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return said.split(" [")[0].removeprefix("wrk ") or "unknown"


def load(kind: str, url: str) -> Measured:
    """Requests of one kind for a second; `items` is how many. Memory is not measured."""
    with tempfile.TemporaryDirectory(prefix="backstream-bench-") as folder:
        script, path = Path(folder) / "request.lua", _request(kind, Path(folder))
        script.write_text(path[1])
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url + path[0]]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    done = _DONE.search(said)
    if process.returncode or done is None or "Non-2xx" in said:
        raise CannotRun(f"wrk {kind}: {said}")
    return Measured(int(done[1]), usage.ru_utime + usage.ru_stime, time.perf_counter() - began, 0)


def _request(kind: str, folder: Path) -> tuple[str, str]:
    """The path, and the Lua that tells wrk the rest."""
    if kind == "put":
        return _OBJECT, _lua("PUT", folder, canned.body(), {"x-amz-checksum-crc32": "AAAAAA=="})
    if kind == "get":
        return _OBJECT, ""
    if kind == "versions":
        return f"/{canned.BUCKET}?versions", ""
    return "/", _lua("POST", folder, _body(kind), {**_JSON, "X-Amz-Target": f"DynamoDB_20120810.{kind}"})


def _body(operation: str) -> bytes:
    if operation == "Scan":
        return msgspec.json.encode({"TableName": canned.TABLE, "ConsistentRead": True})
    items = [{"PutRequest": {"Item": msgspec.Raw(image)}} for image in canned.images(canned.BATCH)]
    return msgspec.json.encode({"RequestItems": {canned.TABLE: items}})


def _lua(method: str, folder: Path, body: bytes, headers: dict[str, str]) -> str:
    file = folder / "body"
    file.write_bytes(body)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join([f'wrk.method = "{method}"', f'wrk.body = io.open("{file}", "rb"):read("*a")', *lines])
