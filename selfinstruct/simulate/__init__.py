"""The simulated endpoint: an OpenAI-compatible server on loopback whose author makes things up.

With it the whole pipeline can be demonstrated, tested and rehearsed with no key and no network::

    with SimulatedEndpoint() as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="unused")

This package knows the chat completions protocol and the shape of Self-Instruct prompts. It knows
nothing of the rest of `selfinstruct`, and imports nothing from it: a rehearsal that shared code
with what it rehearses would agree with its mistakes.

    server      listening on a socket, in the foreground or in a thread
    routes      paths, status codes, delays, and the request log (`request_log`)
    protocol    what a request may say, and the objects that answer it (`tokens`)
    author      what is written back: `reading` recognises the prompt, `continuation`, `verdicts`
                and `instances` answer it, with sentences made by `frames` and `grammar` out of the
                word lists in `texts`, and with mistakes in the shares of `faults`
"""

from selfinstruct.simulate.server import SimulatedEndpoint, serve

__all__ = ["SimulatedEndpoint", "serve"]
