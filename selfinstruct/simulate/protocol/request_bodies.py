"""Request bodies of both APIs, and the errors for wrong ones.

pydantic validates the members. A wrong member becomes an OpenAI error body with status 400 that names the
member in `param`. Unknown members are ignored, as many clients send members of other servers.
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

from selfinstruct.simulate.protocol.replies import Reply, error_reply

Text = Annotated[str, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Temperature = Annotated[float, Strict(), Field(ge=0, le=2)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Penalty = Annotated[float, Strict(), Field(ge=-2, le=2)]
_DEFAULT_MAX_TOKENS: Final = 16
"""Maximum of tokens in a text completion without `max_tokens`, as at OpenAI."""


class RequestError(Exception):
    """A request that gets an error body. The message is for users."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code

    @property
    def reply(self) -> Reply:
        """The reply with the error object for the client."""
        return error_reply(
            self.status, str(self), kind="invalid_request_error", param=self.param, code=self.code
        )


def _as_list(stop: object) -> object:
    return [] if stop is None else [stop] if isinstance(stop, str) else stop


def _not_empty(text: str) -> str:
    # `Field(min_length=1)` would refuse lone surrogates.
    if not text:
        raise ValueError("the text is empty")
    return text


class Body(BaseModel):
    """The members that both kinds of requests have."""

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
        """The members that change the text, in a fixed order."""
        return [
            self.temperature,
            self.top_p,
            self.frequency_penalty,
            self.presence_penalty,
            self.seed,
        ]


class TextPart(BaseModel):
    """A part of the content of a message."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """A message of a chat."""

    role: Text
    content: Text | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The whole text of the message."""
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
        """The text to answer: the last message of the user."""
        asked = (message.text for message in reversed(self.messages) if message.role == "user")
        return next(asked, "")

    @property
    def texts(self) -> list[str]:
        """All texts that the client sent."""
        return [message.text for message in self.messages]

    @property
    def maximum(self) -> int | None:
        """Maximum of tokens per choice; None for no maximum."""
        return self.max_tokens or self.max_completion_tokens

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits, equal for two requests only if the author writes the same text."""
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
    """Accepted, but the reply has no log probabilities."""

    @property
    def texts(self) -> list[str]:
        """All texts that the client sent."""
        return [self.prompt]

    @property
    def maximum(self) -> int:
        """Maximum of tokens per choice. With `echo`, a maximum of 0 is useful."""
        return _DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def fingerprint(self) -> str:
        """Like the fingerprint of a chat request, and always different from one."""
        return digest(json.dumps(["text", self.model, self.prompt, self.sampling]))


AnyBody = ChatBody | TextBody
B = TypeVar("B", bound=Body)


def digest(*texts: str) -> str:
    """Return the SHA-256 of the joined texts, as 64 hexadecimal digits."""
    # JSON may contain lone surrogates, which UTF-8 normally cannot encode.
    return hashlib.sha256("".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def read_body(kind: type[B], body: bytes, served: str) -> B:
    """Return the validated request in `body`, for an endpoint that serves the model `served`.

    Raises RequestError with status 400 for wrong JSON or a wrong member, and 404 for another model.
    """
    try:
        # Unlike the JSON parser of pydantic, `json` reads lone surrogates.
        asked = kind.model_validate(json.loads(body))
    except ValidationError as error:
        raise _error(error) from None
    except (ValueError, RecursionError):
        raise RequestError(400, "The body of the request is not valid JSON.") from None
    if asked.model != served:
        raise unknown_model(asked.model, served)
    return asked


def _error(error: ValidationError) -> RequestError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "model_type":
        return RequestError(400, "The body of the request must be a JSON object.")
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
    """Return the error for a request to the model `asked`, which does not exist."""
    message = f"The model '{asked}' does not exist; this endpoint serves '{served}'."
    return RequestError(404, message, param="model", code="model_not_found")
