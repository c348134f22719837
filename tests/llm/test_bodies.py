"""Tests of endless, compressed and large reply bodies, over a real socket."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_server import chat, reply, scripted

from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import BackendError, TransientError
from selfinstruct.journal_events import received
from selfinstruct.llm.bodies import MAX_BYTES
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.outcome_rules import AttemptOutcome
from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import InstancesStage
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.run_events import run_events

CONFIG = RunConfig(model="m", max_attempts=2)
REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", max_tokens=64),
)
MOST_MEMORY = 8 * MAX_BYTES


async def ask(url: str) -> Completion | BackendError:
    backend = open_backend(
        RunConfig(model="m", max_attempts=2, base_url=url),
        environ={},
    )
    async with backend:
        try:
            return await backend.complete(REQUEST)
        except BackendError as error:
            return error


def asked(*replies: bytes) -> tuple[Completion | BackendError, int]:
    """Send a request to a scripted server. Return the result and the number of attempts."""

    async def run() -> tuple[Completion | BackendError, int]:
        async with scripted(*replies) as script:
            return await ask(script.url), len(script.asked)

    return asyncio.run(run())


@asynccontextmanager
async def endless(head: bytes, piece: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve an endless reply. Yield the server's address and the number of bytes sent on each connection."""
    sent: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(0)
        place = len(sent) - 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            while True:
                writer.write(piece)
                await writer.drain()
                sent[place] += len(piece)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", sent
    finally:
        server.close()


CHUNK = b"x" * 65536
HEADS = {
    "without a length": (b"HTTP/1.1 200 OK\r\n\r\n", CHUNK),
    "with a length": (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", CHUNK),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"10000\r\n" + CHUNK + b"\r\n",
    ),
    "with an error status": (b"HTTP/1.1 500 Oops\r\n\r\n", CHUNK),
    "with a redirect": (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", CHUNK),
}


@pytest.mark.parametrize(("head", "piece"), HEADS.values(), ids=HEADS)
def test_an_endless_body_ends_the_attempt(head: bytes, piece: bytes) -> None:
    async def run() -> tuple[Completion | BackendError, list[int]]:
        async with endless(head, piece) as (url, sent):
            return await ask(url), sent

    tracemalloc.start()
    try:
        error, sent = asyncio.run(run())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, TransientError)
    assert (error.outcome, error.attempts) == (AttemptOutcome.TOO_LARGE.name, 2)
    assert error.may_bill
    assert "larger than 8 MiB" in str(error)
    assert max(sent) < 8 * MAX_BYTES  # The sum includes the buffers of both sockets.
    assert most < MOST_MEMORY


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_decompressed_size_of_a_body_is_limited(encoding: str) -> None:
    deflated = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = deflated(bytes(32 * MAX_BYTES))
    assert len(bomb) < MAX_BYTES // 16
    tracemalloc.start()
    try:
        error, attempts = asked(reply(200, bomb, headers={"content-encoding": encoding}))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, TransientError)
    assert (error.outcome, attempts) == (AttemptOutcome.TOO_LARGE.name, 2)
    assert most < MOST_MEMORY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "x-gzip"])
def test_a_compressed_reply_is_read(encoding: str) -> None:
    data = json.dumps(chat("9. Name a river. " * 9_000)).encode()
    packed = {"gzip": gzip.compress(data), "deflate": zlib.compress(data)}.get(encoding, data)
    completion, _ = asked(reply(200, packed, headers={"content-encoding": encoding}))
    if encoding == "x-gzip":
        assert isinstance(completion, TransientError)  # Accept-Encoding does not list x-gzip.
        assert completion.outcome == AttemptOutcome.NOT_JSON.name
        return
    assert isinstance(completion, Completion)
    assert completion.text == "9. Name a river. " * 9_000


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"{}")[:-9], b"no gzip", gzip.compress(b"{")],
    ids=["truncated", "no gzip", "truncated JSON"],
)
def test_invalid_compression_is_retried(body: bytes) -> None:
    error, _ = asked(reply(200, body, headers={"content-encoding": "gzip"}))
    assert isinstance(error, TransientError)
    assert error.outcome == AttemptOutcome.NOT_JSON.name


def test_stored_names_are_short() -> None:
    names = {"model": "m" * 10**6, "id": "i" * 10**6, "system_fingerprint": "f" * 10**6}
    choice = chat()["choices"][0] | {"finish_reason": "stop" * 10**5}
    completion, _ = asked(reply(body=chat(choices=[choice], **names)))
    assert isinstance(completion, Completion)
    assert len(completion.model) == len(completion.finish_reason or "") == 200
    completion, _ = asked(reply(body=chat(model={"name": "m" * 10**6})))
    assert isinstance(completion, Completion)
    assert completion.model == ""


@pytest.mark.parametrize(
    "text", ["word " * 10**5, "\n".join(["9. " + "word " * 10**5] * 2), "A" * 10**6]
)
def test_a_large_reply_is_stored_once(text: str, tmp_path: Path) -> None:
    completion = Completion(text=text, finish_reason="stop", model="m")
    with Journal(tmp_path / "journal.jsonl", run_events) as journal:
        list(journal.replay())
        journal.append(received(REQUEST, completion))
    assert (tmp_path / "journal.jsonl").stat().st_size < len(text) + 2_000
    for profile in PROFILES:
        for recipe in RECIPES.values():
            parsed = recipe.generate.parsers[profile]("generate/1", completion, AskedList())
            assert sum(len(r.text) for r in parsed.rejections) < 10_000
        for output_first in (True, False):
            read = SELF_INSTRUCT.stage(InstancesStage).parsers[profile](
                "instances/1", completion, AskedInstances(output_first=output_first)
            )
            assert sum(len(r.text) for r in read.rejections) < 10_000
