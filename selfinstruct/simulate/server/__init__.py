"""The HTTP server: routes, the request log, and the listening socket on 127.0.0.1."""
