"""A worker process of the engine: takes sources that its parent sends over a pipe. Only `worker_pool` runs it, as a module.

Not `multiprocessing`: that would run the caller's own main module again, needs shared memory, which Lambda lacks, and leaves
workers behind when the parent is killed. Here the parent's end closes the pipe, and a worker whose pipe is closed ends.
"""

from __future__ import annotations

import gc
import struct
import sys
from typing import BinaryIO

import msgspec

from backstream.engine.local.log_decoder import DecodedSource, LineSource, Taker, Task
from backstream.errors import BackstreamError

LENGTH = struct.Struct("<Q")


class WorkerRequest(msgspec.Struct, frozen=True, array_like=True):
    """The parent's request: take these sources; without sources: write everything that is buffered."""

    sources: list[LineSource]


class Done(msgspec.Struct, frozen=True, array_like=True):
    """A worker's answer: the result of each source. `failed`: why it cannot continue, with its `hint`."""

    taken: list[DecodedSource]
    failed: str | None = None
    hint: str = ""


def send(pipe: BinaryIO, message: msgspec.Struct) -> None:
    """Writes a message."""
    body = msgspec.msgpack.encode(message)
    pipe.write(LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """Returns the bytes of the next message; None if the other end is closed."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = pipe.read(length)
    return body if len(body) == length else None


def main() -> None:
    """Works until the parent has no more, or is gone."""
    gc.disable()  # millions of objects, and no cycles among them: reference counts free them all
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    begin = receive(orders)
    if begin is None:
        return
    taker = Taker.by_name(msgspec.msgpack.decode(begin, type=Task), sys.argv[1])
    decoder = msgspec.msgpack.Decoder(WorkerRequest)
    while (body := receive(orders)) is not None:
        try:
            order = decoder.decode(body)
            if not order.sources:
                taker.flush()
            done = Done([taker.take(source) for source in order.sources])
        except BackstreamError as error:
            done = Done([], error.message, error.hint)
        send(answers, done)


if __name__ == "__main__":
    main()
