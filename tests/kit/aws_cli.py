"""The AWS CLI, as a person calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kit.aws import Aws

AWS_CLI = str(Path(sys.executable).with_name("aws"))


def aws_cli(aws: Aws, *words: str) -> str:
    """What it prints; AssertionError, with what stands in a failed stack's events, where it fails."""
    done = subprocess.run(
        [AWS_CLI, *words],
        env={"PATH": "/usr/bin:/bin", "AWS_PAGER": "", **aws.environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode and "--stack-name" in words and "describe-stack-events" in done.stderr:
        stack = words[words.index("--stack-name") + 1]
        events = aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        raise AssertionError([each for each in events if "FAILED" in each.get("ResourceStatus", "")])
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
