"""A table deployed for as a person does it: `template`, the AWS CLI, the real zip, `init`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.aws_cli import aws_cli
from kit.recorded import ACCOUNT, REGION
from kit.scene import Scene

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class Stack:
    """The stack of a scene's table, which is made with its stream.

    `vault`, `failures`: its buckets; `function`: that captures; `witnessing`: the witness.

    `parameters`: of the template, beside those that it cannot do without. `endpoints`: the servers as the function finds them:
    where that is not AWS, nothing in the template says so. `choices`: options of `template`. The scene's vault is the stack's from
    then on.
    """

    def __init__(
        self,
        scene: Scene,
        code: Path,
        parameters: Mapping[str, str] | None = None,
        endpoints: Mapping[str, str] | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        self.scene = scene
        self.name = f"kept-{uuid.uuid4().hex[:8]}"
        self.vault, self.failures = (f"{self.name}-{word}-{ACCOUNT}-{REGION}" for word in ("vault", "failures"))
        self.function, self.witnessing = f"{self.name}-capture", f"{self.name}-witness"
        self.retaining = f"{self.name}-retain"
        scene.url = f"s3://{self.vault}/vault"
        scene.create()
        scene.live().enable_stream()
        self._deploy(scene.live().facts().stream_arn or "", code, parameters or {}, choices)
        retaining = [self.retaining] if "--retain" in choices else []
        for function in (self.function, self.witnessing, *retaining):
            self._point(function, {**scene.aws.environment, **(endpoints or {})})

    def _deploy(self, stream: str, code: Path, parameters: Mapping[str, str], choices: Sequence[str]) -> None:
        aws, path = self.scene.aws, self.scene.folder / "stack.yaml"
        aws.client("s3").put_object(Bucket=self.scene.bucket, Key="backstream.zip", Body=code.read_bytes())
        ran = self.scene.call("template", "cloudformation", self.scene.table, "--stream", stream, "--to", str(path), *choices)
        assert ran.code == 0, ran.err
        given = {"CodeBucket": self.scene.bucket, "CodeKey": "backstream.zip", "Runtime": "python3.11", **parameters}
        deploy = ["cloudformation", "deploy", "--stack-name", self.name, "--template-file", str(path)]
        words = [f"{name}={value}" for name, value in given.items()]
        aws_cli(aws, *deploy, "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *words)

    def _point(self, function: str, endpoints: Mapping[str, str]) -> None:
        functions = self.functions()
        known = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=function, Environment={"Variables": {**known, **endpoints}})

    def functions(self) -> LambdaClient:
        """Lambda's API."""
        return self.scene.aws.client("lambda")

    def init(self, *words: str) -> None:
        """The command that the stack's output names."""
        outputs = self.scene.aws.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]["Outputs"]
        (told,) = [each["OutputValue"] for each in outputs if each["OutputKey"].endswith("Next")]
        command, *rest = told.split()
        assert command == "backstream"
        ran = self.scene.call(*rest, *words)
        assert ran.code == 0, ran.err

    def witness(self) -> Any:
        """What the deployed witness answers to the event of its schedule."""
        return self._invoke(self.witnessing, {"table": self.scene.table})

    def retain(self) -> Any:
        """What the deployed retention answers to the event of its schedule."""
        return self._invoke(self.retaining, {"tables": [self.scene.table]})

    def _invoke(self, function: str, event: Mapping[str, object]) -> Any:
        answered = self.functions().invoke(FunctionName=function, Payload=json.dumps(event).encode())
        said = answered["Payload"].read().decode()
        assert "FunctionError" not in answered, said
        return json.loads(said)

    def mapping(self) -> Any:
        """What Lambda tells of the table's event source mapping."""
        (found,) = self.functions().list_event_source_mappings(FunctionName=self.function)["EventSourceMappings"]
        return self.functions().get_event_source_mapping(UUID=found["UUID"])

    def delete(self) -> None:
        """As a person does: until CloudFormation says that it is done."""
        for words in (["delete-stack"], ["wait", "stack-delete-complete"]):
            aws_cli(self.scene.aws, "cloudformation", *words, "--stack-name", self.name)
