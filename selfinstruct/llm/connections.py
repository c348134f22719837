"""Connections in several small pools rather than a large one.

The client's pool looks at each of its connections whenever a request begins or ends. With a hundred and more
of them that takes longer than all the rest of a request; in pools of sixteen it does not.
"""

import ssl
from types import TracebackType
from typing import Self

import httpx2

POOL = 16
"""Connections of a pool."""


class Connections(httpx2.AsyncBaseTransport):
    """A transport that sends each request through the pool that has the fewest in flight."""

    def __init__(
        self, count: int, *, limits: httpx2.Limits, verify: ssl.SSLContext | bool = True
    ) -> None:
        """Pools for `count` requests in flight; each keeps to `limits`."""
        self._pools = [
            httpx2.AsyncHTTPTransport(verify=verify, limits=limits)
            for _ in range(max(1, -(-count // POOL)))
        ]
        self._in_flight = [0] * len(self._pools)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncBaseTransport`."""
        place = self._in_flight.index(min(self._in_flight))
        self._in_flight[place] += 1
        try:
            return await self._pools[place].handle_async_request(request)
        finally:
            self._in_flight[place] -= 1

    async def __aenter__(self) -> Self:
        for pool in self._pools:
            await pool.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        for pool in self._pools:
            await pool.__aexit__(kind, error, trace)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()
