"""The simulated endpoint: an OpenAI-compatible server on the loopback interface that invents its replies.

With this server, demos, tests and trial runs of the whole pipeline need neither an API key nor a network::

    with SimulatedEndpoint() as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="unused")

The package shares only the error classes and the YAML reader with the rest of `selfinstruct`. If client and
server shared their protocol code, both would have the same bugs, and tests would not find them.

    protocol    the chat and text completion APIs: validated requests (`request_bodies`) and replies
                (`completions`, `replies`, `tokens`)
    author      the reply texts: `prompt_recognition` recognises a prompt; `continuation`, `blocks`,
                `classification` and `instances` answer it with `instructions` and `examples` from
                `word_lists`; `mistakes` sets how often an answer is wrong; `base_model` writes text
                that continues after the answer
    faults      deliberate faults: `plan_file` reads a `plan`, `assignment` assigns faults to attempts,
                `error_replies` and `content` change replies, `transport` breaks connections,
                `rate_limits` refuses requests that come too early
    server      `routes` produces replies, `request_log` records them, `listening` opens the socket
"""

from selfinstruct.simulate.author.mistake_rates import FaultShares
from selfinstruct.simulate.faults.plan import FaultPlan
from selfinstruct.simulate.faults.plan_file import read_fault_plan
from selfinstruct.simulate.server.listening import SimulatedEndpoint

__all__ = ["FaultPlan", "FaultShares", "SimulatedEndpoint", "read_fault_plan"]
