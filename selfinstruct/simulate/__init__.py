"""The simulated endpoint: an OpenAI-compatible server on loopback with made-up replies.

Demonstrations, tests and rehearsals of the whole pipeline need no key and no network::

    with SimulatedEndpoint() as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="unused")

Only errors and the reading of YAML are shared with the rest of `selfinstruct`: a shared protocol would have
the same bugs on both sides.

    protocol    the completions API for chat and for text: validated requests (`request_bodies`)
                and replies (`completions`, `replies`, `tokens`)
    author      the texts: `prompt_recognition` recognises a prompt; `continuation`, `blocks`,
                `classification` and `instances` answer with `instructions` and `examples` from
                `word_lists`; `mistakes` says how often they are wrong; `base_model` does not stop
    faults      intended faults: `plan_file` reads a `plan`, `assignment` assigns faults to attempts,
                `error_replies` and `content` change replies, `transport` breaks connections,
                `rate_limits` counts requests and tokens
    server      `routes` choose the reply, `request_log` records it, `listening` opens the socket
"""

from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.faults.plan import FaultPlan
from selfinstruct.simulate.faults.plan_file import read_fault_plan
from selfinstruct.simulate.server.listening import SimulatedEndpoint

__all__ = [
    "FaultPlan",
    "FaultShares",
    "SimulatedEndpoint",
    "read_fault_plan",
]
