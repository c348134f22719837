"""Limit the size of reply bodies, so that a broken or hostile endpoint cannot exhaust memory.

The response hook `limit_body` wraps the stream of every response, whatever the transport or proxy. The
wrapper also decompresses the body, because a small compressed body may expand to gigabytes.
"""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

MAX_BYTES = 8 * 2**20
"""Maximum size of a decompressed body. A reply of 100,000 tokens is about half a megabyte."""
ENCODINGS = ("gzip", "deflate")
"""Supported content encodings, which each request lists in its Accept-Encoding header."""
_CHUNK_BYTES = 64 * 2**10


class TooLargeError(httpx2.RequestError):
    """A body is larger than MAX_BYTES. The client wraps this exception in a connection error."""


async def limit_body(response: httpx2.Response) -> None:
    """Limit the size of a response's body before it is read. The client calls this as a response hook."""
    encodings = response.headers.get_list("content-encoding", split_commas=True)
    named = [name.strip().lower() for name in encodings]
    named = [name for name in named if name not in ("", "identity")]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Limited(response.stream, named)
    if named:
        # `_Limited` decompresses the body, so the client must not decompress it again.
        del response.headers["content-encoding"]


class _Limited(httpx2.AsyncByteStream):
    """A decompressed body stream that raises TooLargeError if the body exceeds MAX_BYTES."""

    def __init__(self, stream: httpx2.AsyncByteStream, encodings: list[str]) -> None:
        self._stream = stream
        self._encodings = encodings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decompressor = None
        if self._encodings:
            if len(self._encodings) > 1 or self._encodings[0] not in ENCODINGS:
                raise httpx2.DecodingError(
                    f"the body has an unsupported encoding: {', '.join(self._encodings)[:80]}"
                )
            # Adding 32 makes zlib detect from the header whether the body is gzip or zlib.
            decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)
        size = 0
        async for received in self._stream:
            for chunk in (
                [received] if decompressor is None else _decompressed(decompressor, received)
            ):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise TooLargeError("the body is too large")
                yield chunk
        if decompressor is not None and not decompressor.eof:
            raise httpx2.DecodingError("the compressed body is truncated")

    async def aclose(self) -> None:
        await self._stream.aclose()


def _decompressed(decompressor: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    try:
        while chunk := decompressor.decompress(data, _CHUNK_BYTES):
            yield chunk
            data = decompressor.unconsumed_tail
    except zlib.error as error:
        raise httpx2.DecodingError(str(error)) from None
