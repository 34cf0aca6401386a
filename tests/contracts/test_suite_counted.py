"""What `make servers` says of a run of this suite against a server."""

from __future__ import annotations

from kit import servers

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname="tests.a" name="test_a[boto3]" time="0.1" />
<testcase classname="tests.a" name="test_b[s3]" time="0.1"><failure message="no">E  a</failure></testcase>
<testcase classname="tests.a" name="test_b[boto3]" time="0.1"><error message="no">E  a</error></testcase>
<testcase classname="tests.a" name="test_c[s3]" time="0.1"><skipped message="not here" /></testcase></testsuite></testsuites>"""


def test_a_failing_contract_is_named_unless_it_is_written_down() -> None:
    line = "1 of 3 pass; not test_b"
    assert servers.counted(REPORT, ()) == (line, ["test_b[boto3]", "test_b[s3]"])
    assert servers.counted(REPORT, ("test_b",)) == (line, [])
    assert servers.counted("", ()) == ("0 of 0 pass", ["the suite did not run"])
