"""Validates the request bodies of both APIs, and creates the errors for invalid bodies.

pydantic validates the members. For an invalid member, the reply is an OpenAI error body with status 400, and
`param` contains the member's name. Unknown members are ignored, because many clients send members that only
other servers support.
"""

import hashlib
import json
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from selfinstruct.simulate.protocol.replies import error_reply

Text = Annotated[str, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Temperature = Annotated[float, Strict(), Field(ge=0, le=2)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Penalty = Annotated[float, Strict(), Field(ge=-2, le=2)]
_DEFAULT_MAX_TOKENS: Final = 16
"""Default of `max_tokens` for text completions, which is the same as OpenAI's default."""

_SAMPLING: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")


class RequestError(Exception):
    """The request is invalid and gets an error body. The message is for users."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.reply = error_reply(
            status, message, kind="invalid_request_error", param=param, code=code
        )
        """The reply that reports this error to the client."""


def _as_list(stop: object) -> object:
    return [] if stop is None else [stop] if isinstance(stop, str) else stop


def _not_empty(text: str) -> str:
    # `Field(min_length=1)` would reject lone surrogates.
    if not text:
        raise ValueError("the text is empty")
    return text


class Body(BaseModel):
    """The members that chat and text requests have in common."""

    model: Text
    n: Annotated[int, Strict(), Field(ge=1, le=128)] | None = None
    stop: Annotated[
        tuple[Annotated[Text, AfterValidator(_not_empty)], ...],
        Field(max_length=4),
        BeforeValidator(_as_list),
    ] = ()
    max_tokens: Whole | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Annotated[int, Strict()] | None = None
    stream: Literal[False] | None = None

    @property
    def sampling(self) -> list[float | None]:
        """The values of the members that change the generated text, in a fixed order."""
        return [getattr(self, name) for name in _SAMPLING]


class TextPart(BaseModel):
    """A text part of a message's content."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """A message in a chat request."""

    role: Text
    content: Text | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The message's complete text; all parts are joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ChatBody(Body):
    """The body of a request to `/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None

    @model_validator(mode="after")
    def _has_one_maximum(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("'max_tokens' and 'max_completion_tokens' cannot both be set.")
        return self

    @property
    def prompt(self) -> str:
        """The text to answer, which is the last user message; "" if there is none."""
        asked = (message.text for message in reversed(self.messages) if message.role == "user")
        return next(asked, "")

    @property
    def texts(self) -> list[str]:
        """All texts that the client sent."""
        return [message.text for message in self.messages]

    @property
    def maximum(self) -> int | None:
        """Maximum number of tokens per choice; None for no maximum."""
        return self.max_tokens or self.max_completion_tokens

    @property
    def fingerprint(self) -> str:
        """A hash of everything that changes the generated text, as 64 hexadecimal digits."""
        texts = [(message.role, message.text) for message in self.messages]
        return digest(json.dumps([self.model, texts, self.sampling]))


class TextBody(Body):
    """The body of a request to `/v1/completions`."""

    prompt: Annotated[
        Text,
        BeforeValidator(lambda p: p[0] if isinstance(p, list) and len(p) == 1 else p),
    ]
    echo: Annotated[bool, Strict()] | None = None
    logprobs: Whole | None = None
    """Number of log-probabilities per token. It is accepted, but the reply contains no log-probabilities."""

    @property
    def texts(self) -> list[str]:
        """All texts that the client sent."""
        return [self.prompt]

    @property
    def maximum(self) -> int:
        """Maximum number of tokens per choice. 0 is allowed, for example to return only the echoed prompt."""
        return _DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def fingerprint(self) -> str:
        """Like a chat request's fingerprint, but different from the fingerprint of every chat request."""
        return digest(json.dumps(["text", self.model, self.prompt, self.sampling]))


AnyBody = ChatBody | TextBody
B = TypeVar("B", bound=Body)


def digest(*texts: str) -> str:
    """Return the SHA-256 hash of the concatenated texts, as 64 hexadecimal digits."""
    # JSON may contain lone surrogates, which plain UTF-8 cannot encode.
    return hashlib.sha256("".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def read_body(kind: type[B], body: bytes, served: str) -> B:
    """Return the validated request in `body`. `served` is the model that the endpoint serves.

    Raises RequestError: with status 400 for invalid JSON or an invalid member, and 404 for another model.
    """
    try:
        # Unlike pydantic's JSON parser, `json` accepts lone surrogates.
        asked = kind.model_validate(json.loads(body))
    except ValidationError as error:
        raise _error(error) from None
    except (ValueError, RecursionError):
        raise RequestError(400, "The request body is not valid JSON.") from None
    if asked.model != served:
        raise unknown_model(asked.model, served)
    return asked


def _error(error: ValidationError) -> RequestError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "model_type":
        return RequestError(400, "The request body must be a JSON object.")
    param = str(first["loc"][0]) if first["loc"] else None
    problem = first["msg"].removeprefix("Value error, ")
    if param is not None:
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            problem = f"'{place}' is missing."
        elif problem.startswith("Input should be "):
            problem = f"'{place}' must be {problem.removeprefix('Input should be ')}."
        else:
            problem = f"'{place}' is wrong: {problem}."
    return RequestError(400, problem, param=param)


def unknown_model(asked: str, served: str) -> RequestError:
    """Return the error for a request to model `asked`, while the endpoint serves only model `served`."""
    message = f"The model '{asked}' does not exist; this endpoint serves '{served}'."
    return RequestError(404, message, param="model", code="model_not_found")
