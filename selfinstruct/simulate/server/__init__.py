"""The server: routes, the request log, and a socket on loopback."""
