"""Bodies of replies, read in pieces up to a limit: a broken or hostile endpoint must not fill the memory.

A response hook puts `limited` between the connection and the client, whatever transport or proxy the
client uses. The hook inflates compressed bodies itself, because a small body may inflate to gigabytes.
"""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

MOST_BYTES = 8 * 2**20
"""Bytes of an inflated body. The text of a reply of 100,000 tokens takes half a megabyte."""
ENCODINGS = ("gzip", "deflate")
"""Encodings that requests allow, in the header Accept-Encoding."""
_PIECE = 64 * 2**10


class TooLargeError(httpx2.RequestError):
    """A body is larger than MOST_BYTES; the client treats the error as one of the connection."""


async def limit_body(response: httpx2.Response) -> None:
    """Limit the body of a response that nobody has read yet: a response hook of a client."""
    encodings = response.headers.get_list("content-encoding", split_commas=True)
    named = [name.strip().lower() for name in encodings]
    named = [name for name in named if name not in ("", "identity")]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Limited(response.stream, named)
    if named:
        # What the client reads from here on is no longer compressed.
        del response.headers["content-encoding"]


class _Limited(httpx2.AsyncByteStream):
    """A stream that inflates another stream and ends with TooLargeError at the limit."""

    def __init__(self, stream: httpx2.AsyncByteStream, encodings: list[str]) -> None:
        self._stream = stream
        self._encodings = encodings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        inflate = None
        if self._encodings:
            if len(self._encodings) > 1 or self._encodings[0] not in ENCODINGS:
                raise httpx2.DecodingError(f"encoded as {', '.join(self._encodings)[:80]}")
            # 32: the header says whether the body is gzip or zlib.
            inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        size = 0
        async for received in self._stream:
            for piece in [received] if inflate is None else _inflated(inflate, received):
                size += len(piece)
                if size > MOST_BYTES:
                    raise TooLargeError("the body is too large")
                yield piece
        if inflate is not None and not inflate.eof:
            raise httpx2.DecodingError("the compressed body is cut")

    async def aclose(self) -> None:
        await self._stream.aclose()


def _inflated(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    try:
        while piece := inflate.decompress(data, _PIECE):
            yield piece
            data = inflate.unconsumed_tail
    except zlib.error as error:
        raise httpx2.DecodingError(str(error)) from None
