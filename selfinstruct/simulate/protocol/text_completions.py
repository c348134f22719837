r"""Text completions: the JSON on both sides of `POST /v1/completions`, the API for base models.

Knows that there is one prompt, a text, which the reply continues, and that a reply has 16 tokens
unless more are asked for. A request of two members is enough::

    {"model": "simulated", "prompt": "8. Name three rivers.\n9.", "max_tokens": 400}
"""

import json
from typing import Any, Final

from selfinstruct.simulate.protocol.completions import (
    CompletionRequest,
    Write,
    choices,
    digest,
    usage,
)
from selfinstruct.simulate.protocol.request_members import (
    RequestError,
    common_members,
    flag,
    json_object,
    whole,
)

USUAL_LIMIT: Final = 16
"""Tokens per choice when `max_tokens` is absent or null, as OpenAI has it."""


def read(body: bytes, served: str) -> CompletionRequest:
    """The request in `body`, for an endpoint that serves the model `served`.

    Raises RequestError: 400 for JSON that does not parse or a member that is missing, of the wrong type
    or out of range, 404 for another model.
    """
    asked = json_object(body)
    prompt = _prompt(asked.get("prompt"))
    limit = whole(asked, "max_tokens", least=0)  # none at all is useful with `echo`
    echo = flag(asked, "echo")
    whole(asked, "logprobs", least=0)  # accepted, and never given
    common = common_members(asked, served)
    # The first entry keeps the fingerprints apart from those of chat requests.
    shaping = ["text", common.model, prompt, common.sampling, common.seed]
    return CompletionRequest(
        model=common.model,
        prompt=prompt,
        texts=(prompt,),
        choices=common.choices,
        stops=common.stops,
        limit=USUAL_LIMIT if limit is None else limit,
        echo=echo,
        fingerprint=digest(json.dumps(shaping)),
    )


def answer(request: CompletionRequest, write: Write, created: int) -> dict[str, Any]:
    """The object that answers `request`; `created` is in seconds since 1970."""
    written = choices(request, write)
    before = request.prompt if request.echo else ""
    return {
        "id": f"cmpl-{request.fingerprint[:24]}",
        "object": "text_completion",
        "created": created,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "text": before + choice.text,
                "logprobs": None,
                "finish_reason": choice.reason,
            }
            for index, choice in enumerate(written)
        ],
        "usage": usage(request, written),
        "system_fingerprint": "fp_simulated",
    }


def _prompt(prompt: object) -> str:
    """The one text that is to be continued, which may also stand alone in a list."""
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        message = (
            "'prompt' must be a string or a list of one string; the simulated endpoint reads "
            "neither tokens nor several prompts at once."
        )
        raise RequestError(400, message, param="prompt")
    return prompt
