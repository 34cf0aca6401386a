"""DynamoDB's raw JSON protocol through botocore, which finds credentials and endpoint, signs, retries and checks the CRC-32.

Its work on the content is left out: it would build it from Python objects and parse it into them, at 10 times the cost of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore import xform_name
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from backstream.errors import BackstreamError, Failed
from backstream.tables import failures
from backstream.tables.raw import RawAnswer

_BODY = "RawBody"
ATTEMPTS = 6  # of one request


def recommended_config(connections: int = 16, attempts: int = ATTEMPTS) -> Config:
    """Returns the botocore configuration for a `BotoRaw`'s client; `connections`: the number of threads that will call at once."""
    return Config(
        parameter_validation=False,  # the parameters are in our bytes, where botocore does not look
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


class BotoRaw:
    """See `raw.RawApi`. The client, made with `recommended_config`, belongs to raw calls from then on: its ordinary methods refuse.

    Several may share one client.
    """

    def __init__(self, client: BaseClient) -> None:
        service = client.meta.service_model.service_id.hyphenize()
        for event, hook in (("before-parameter-build", _take_body), ("before-call", _send_body), ("before-parse", _keep_answer)):
            client.meta.events.register(f"{event}.{service}.*", hook, unique_id=f"backstream-{event}")
        self._client = client

    def call(self, operation: str, body: bytes, subject: str) -> RawAnswer:
        ask = getattr(self._client, xform_name(operation), None)
        if ask is None:
            raise Failed(f"{operation} of {subject} is not known to this botocore", hint="Install a newer one.")
        try:
            parsed = ask(**{_BODY: body})
        except (ClientError, BotoCoreError) as error:
            raise failures.named(error, operation, subject) from error
        return RawAnswer(parsed[_BODY], f"{operation} of {subject}", parsed["ResponseMetadata"]["HTTPHeaders"].get("date"))

    def call_each(self, calls: Sequence[tuple[str, bytes]], subject: str, in_flight: int) -> Sequence[RawAnswer | BackstreamError]:
        def answer(call: tuple[str, bytes]) -> RawAnswer | BackstreamError:
            try:
                return self.call(*call, subject)
            except BackstreamError as error:
                return error

        if len(calls) < 2:
            return [answer(call) for call in calls]
        with ThreadPoolExecutor(min(in_flight, len(calls)), thread_name_prefix="call") as pool:
            return list(pool.map(answer, calls))


# --- botocore's hooks, in the order in which they run in each call ----------------------------------------------------------------


def _take_body(params: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: object) -> None:
    """Keeps our body aside, in the context of this call, before the request is built from parameters."""
    if _BODY not in params:
        raise TypeError("this botocore client belongs to a BotoRaw: make another one for ordinary calls")
    context[_BODY] = params.pop(_BODY)
    if model.input_shape is not None and "RequestItems" in model.input_shape.members:
        params["RequestItems"] = {}  # choosing the endpoint, botocore looks for ARNs among the tables named in a batch


def _send_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Puts our body in, once the request is built and before it is signed."""
    params["body"] = context[_BODY]


def _keep_answer(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Takes the bytes before the answer is parsed, and leaves nothing to parse. botocore itself reads error answers."""
    if response_dict["status_code"] < 300:
        customized_response_dict[_BODY] = response_dict["body"]
        response_dict["body"] = b"{}"
