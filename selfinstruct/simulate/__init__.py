"""The simulated endpoint: an OpenAI-compatible server on loopback whose author makes things up.

With it the whole pipeline can be demonstrated, tested and rehearsed with no key and no network::

    with SimulatedEndpoint() as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="unused")

This package knows the completions protocols, for chat and for text, and the shape of Self-Instruct
prompts. It knows nothing of the rest of `selfinstruct`, and imports nothing from it: a rehearsal
that shared code with what it rehearses would agree with its mistakes.

    server      listening on a socket, in the foreground or in a thread
    routes      paths, status codes, delays, and the request log (`request_log`)
    protocol    what a request comes down to, and what every reply has (`tokens`)
                `chat_completions` and `text_completions` are the JSON on both sides, `members`
                checks it
    fault_plan  what goes wrong on purpose: `fault_plan_file` reads a plan (`plan_values` checks single
                values), `fates` draws what befalls an attempt, `faulty_replies` and `content_faults`
                falsify `replies`, `transport` breaks connections, `rate_limits` counts minutes
    author      what is written back: `reading` recognises the prompt, `continuation`, `blocks`,
                `verdicts` and `instances` answer it, with sentences made by `frames` and `grammar`
                out of the word lists in `texts`, and with mistakes in the shares of `faults` and
                the habits in `mannerisms`; `base` goes on where a chat model would stop
"""

from selfinstruct.simulate.fault_plan import FaultPlan
from selfinstruct.simulate.fault_plan_file import read_fault_plan
from selfinstruct.simulate.faults import FaultShares
from selfinstruct.simulate.plan_values import FaultPlanError
from selfinstruct.simulate.server import SimulatedEndpoint, serve

__all__ = [
    "FaultPlan",
    "FaultPlanError",
    "FaultShares",
    "SimulatedEndpoint",
    "read_fault_plan",
    "serve",
]
