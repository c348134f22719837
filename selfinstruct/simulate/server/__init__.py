"""The server: routes, a log of requests, a socket on loopback."""
