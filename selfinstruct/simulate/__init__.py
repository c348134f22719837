"""The simulated endpoint: an OpenAI-compatible server on loopback whose author makes things up.

With it the whole pipeline can be demonstrated, tested and rehearsed with no key and no network::

    with SimulatedEndpoint() as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="unused")

This package knows the completions protocols, for chat and for text, and the shape of Self-Instruct
prompts. It knows nothing of the rest of `selfinstruct`, and imports nothing from it: a rehearsal
that shared code with what it rehearses would agree with its mistakes.

    protocol    the completions API, for chat and for text: what a checked request comes down to
                (`completions`), the JSON on both sides, what is sent back (`replies`, `tokens`)
    author      what is written back: `prompt_recognition` says which prompt it is, `continuation`,
                `blocks`, `classification` and `instances` answer, with sentences of
                `sentence_frames` and `grammar` out of `word_lists`, with the errors of `mistakes`
                and the habits of `chat_habits`; `base_model` continues where a chat model would stop
    faults      what goes wrong on purpose: `plan_file` reads a `plan`, `assignment` draws which
                attempt has which fault, `error_replies` and `content` falsify replies, `transport`
                breaks connections, `rate_limits` counts requests a minute
    server      `routes` choose the reply, `request_log` records it, `listening` opens the socket
"""

from selfinstruct.simulate.author.mistakes import FaultShares
from selfinstruct.simulate.faults.plan import FaultPlan
from selfinstruct.simulate.faults.plan_file import read_fault_plan
from selfinstruct.simulate.faults.plan_values import FaultPlanError
from selfinstruct.simulate.server.listening import SimulatedEndpoint, serve

__all__ = [
    "FaultPlan",
    "FaultPlanError",
    "FaultShares",
    "SimulatedEndpoint",
    "read_fault_plan",
    "serve",
]
