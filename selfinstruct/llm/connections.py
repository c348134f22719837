"""Use several small connection pools instead of a large one.

A pool of the client scans all its connections when a request begins or ends. With more than a hundred
connections, the scans take longer than the rest of a request; with sixteen they do not.
"""

import ssl

import httpx2

POOL_SIZE = 16
"""Connections in each pool."""


class Connections(httpx2.AsyncBaseTransport):
    """A transport that sends each request through the pool with the fewest requests in flight."""

    def __init__(
        self, count: int, *, limits: httpx2.Limits, verify: ssl.SSLContext | bool = True
    ) -> None:
        """Make pools for `count` requests in flight; `limits` apply to each pool."""
        self._pools = [
            httpx2.AsyncHTTPTransport(verify=verify, limits=limits)
            for _ in range(max(1, -(-count // POOL_SIZE)))
        ]
        self._in_flight = [0] * len(self._pools)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncBaseTransport`."""
        index = self._in_flight.index(min(self._in_flight))
        self._in_flight[index] += 1
        try:
            return await self._pools[index].handle_async_request(request)
        finally:
            self._in_flight[index] -= 1

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()
