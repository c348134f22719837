"""`RunConfig`: every setting of a run, declared once.

The declaration serves the YAML file (`settings` reads it), the flags (`cli.options` makes one of each field),
the stored copy in the run directory and the fingerprint. Precedence: defaults < YAML file < flags.

Settings are of two kinds. *Data* settings decide what the dataset is, given the replies; they are part of the
run's fingerprint and cannot change once the run has a reply. *Operational* settings decide how the run is
carried out (how fast, how far, from which address): they may change at every start, and the last ones given
are remembered.

    >>> RunConfig(model="m", threshold=0.8).given()
    {'model': 'm', 'threshold': 0.8}
    >>> RunConfig(model="m", threshold=7)
    Traceback (most recent call last):
    selfinstruct.errors.ConfigError: threshold: must lie between 0 and 1, not 7
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfinstruct.config.fields import By, at_least, between, one_of, setting
from selfinstruct.config.request_extras import body_problem, headers_problem
from selfinstruct.errors import ConfigError


def web_address_problem(value: str) -> str | None:
    """What is wrong with the address of an endpoint, without repeating it."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0) and value.isascii()
    except ValueError:
        is_address = False
    if not is_address or not value.isprintable() or " " in value:
        return "must be an address such as http://localhost:8000/v1"
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The address is stored and shown; a secret in it would be too.
        return (
            "must not contain a user name, a password or a query; "
            "put the key into an environment variable"
        )
    return None


def _model_problem(value: str) -> str | None:
    if value and not value.strip():
        return "is blank; name the model to ask, for example --model gpt-4.1-mini"
    if not value.isprintable():
        return "holds characters that cannot be seen; write the name as the endpoint has it"
    return None


def _variable_name(value: str) -> str | None:
    # Not repeated: who mistakes this for the place of the key has typed the key.
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        return "must be the name of an environment variable, such as OPENAI_API_KEY"
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_DATA = "What is made"
_SAMPLING = "Sampling"
_JOB = "How the job is run"
_COST = "What it may cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """All settings of a run. Raises ConfigError for a value that a setting cannot have."""

    model: str = setting(
        "",
        "Model to ask, as the endpoint names it.",
        panel=_DATA,
        short="-m",
        check=_model_problem,
    )
    recipe: str = setting(
        "self-instruct",
        "How tasks are made: self-instruct (Wang et al., 2022: instructions, kinds and instances in three "
        "stages) or alpaca (Taori et al., 2023: all in one call).",
        panel=_DATA,
        check=one_of("self-instruct", "alpaca"),
    )
    profile: str = setting(
        "default",
        "How replies are read and judged: default, or paper for the decisions of the published code.",
        panel=_DATA,
        check=one_of("default", "paper"),
    )
    api: str = setting(
        "chat",
        "What is asked: chat, or completions for base models, whose prompts are texts to continue.",
        panel=_DATA,
        check=one_of("chat", "completions"),
    )
    seed_tasks: Path | None = setting(
        None,
        "Seed tasks: JSONL in the published schema, or an Alpaca-style JSON or JSONL list.",
        panel=_DATA,
        shown_default="the 175 that come with selfinstruct",
    )
    prompts: Path | None = setting(
        None,
        "Folder of templates to use instead of the recipe's own.",
        panel=_DATA,
        shown_default="the recipe's own",
    )
    classification_seeds_only: bool = setting(
        default=False,
        text="Use only the classification tasks among the seed tasks, and ask for classification tasks.",
        panel=_DATA,
        rare=True,
    )
    demonstrations: int = setting(
        # Self-Instruct §2.2; Alpaca's published code
        By("recipe", {"self-instruct": 8, "alpaca": 3}),
        "Tasks shown in a prompt for new ones.",
        panel=_DATA,
        rare=True,
        check=between(1, 100),
    )
    generated_demonstrations: int = setting(
        By("recipe", {"self-instruct": 2, "alpaca": 0}, at_most="demonstrations"),
        "How many of them are generated ones, once there are enough; the others are seed tasks.",
        panel=_DATA,
        rare=True,
        check=between(0, 100),
    )
    show_input: bool = setting(
        default=False,
        text="Show each demonstration with its first input, where it has one (alpaca always does).",
        panel=_DATA,
        rare=True,
    )
    seed: int = setting(0, "Seed of every random draw of the run.", panel=_DATA)
    threshold: float = setting(
        0.7,  # Self-Instruct §2.2
        "A candidate whose ROUGE-L to any task of the pool is higher is not novel.",
        panel=_DATA,
        short="-t",
        check=between(0, 1),
    )
    tokenizer: str = setting(
        By("profile", {"default": "unicode", "paper": "rouge"}),
        "What ROUGE-L compares: unicode (words of any script), or rouge (a-z and 0-9, as published).",
        panel=_DATA,
        rare=True,
        check=one_of("unicode", "rouge"),
    )
    max_instances: int = setting(
        5,  # Self-Instruct's published code keeps at most five
        "Instances kept of a task.",
        panel=_DATA,
        rare=True,
        check=between(1, 20),
    )
    lag_min: int = setting(
        4,
        "How many replies, at least, a generation request may run ahead of the pool that it draws on. "
        "Changes the dataset; there is rarely a reason to touch it.",
        panel=_DATA,
        rare=True,
        check=at_least(1),
    )
    lag_max: int = setting(512, "The same, at most.", panel=_DATA, rare=True, check=at_least(1))

    # Self-Instruct, appendix A.1 and Table 4, except the lengths: 3 tokens of an answer and 300 of an
    # instance were enough for a base model with stop sequences; chat models need room for both. For alpaca,
    # what its published code sends.
    generate_temperature: float | None = setting(
        By("recipe", {"self-instruct": 0.7, "alpaca": 1.0}),
        "Temperature when writing instructions.",
        panel=_SAMPLING,
        rare=True,
        check=between(0, 100),
    )
    generate_top_p: float | None = setting(
        By("recipe", {"self-instruct": 0.5, "alpaca": 1.0}),
        "Nucleus size when writing instructions.",
        panel=_SAMPLING,
        rare=True,
        check=between(0, 1),
    )
    generate_presence_penalty: float | None = setting(
        By("recipe", {"self-instruct": 2.0, "alpaca": None}),
        "Presence penalty when writing instructions.",
        panel=_SAMPLING,
        rare=True,
        check=between(-100, 100),
    )
    generate_max_tokens: int | None = setting(
        By("recipe", {"self-instruct": 1024, "alpaca": 3072}),
        "Token limit of a list of instructions.",
        panel=_SAMPLING,
        rare=True,
        check=at_least(1),
    )
    classify_temperature: float | None = setting(
        0.0, "Temperature when classifying.", panel=_SAMPLING, rare=True, check=between(0, 100)
    )
    classify_max_tokens: int | None = setting(
        16, "Token limit of a yes or no.", panel=_SAMPLING, rare=True, check=at_least(1)
    )
    instances_temperature: float | None = setting(
        0.0,
        "Temperature when writing instances.",
        panel=_SAMPLING,
        rare=True,
        check=between(0, 100),
    )
    instances_presence_penalty: float | None = setting(
        1.5,
        "Presence penalty when writing instances.",
        panel=_SAMPLING,
        rare=True,
        check=between(-100, 100),
    )
    instances_max_tokens: int | None = setting(
        1024, "Token limit of a task's instances.", panel=_SAMPLING, rare=True, check=at_least(1)
    )

    extra_body: Mapping[str, Any] | None = setting(
        None,
        'Members to add to every request, as a JSON object, such as {"top_k": 20}; one that is null is left '
        "out of what is sent.",
        panel=_SAMPLING,
        check=body_problem,
    )

    num_instructions: int = setting(
        100,
        "Accepted instructions to reach, seed tasks not counted.",
        panel=_JOB,
        short="-n",
        operational=True,
        check=at_least(1),
    )
    base_url: str | None = setting(
        None,
        "Address of the endpoint, up to and including /v1.",
        panel=_JOB,
        shown_default="$OPENAI_BASE_URL, or https://api.openai.com/v1",
        operational=True,
        check=web_address_problem,
    )
    api_key_env: str = setting(
        "OPENAI_API_KEY",
        "Environment variable that holds the key.",
        panel=_JOB,
        operational=True,
        check=_variable_name,
    )
    extra_header: tuple[str, ...] = setting(
        (),
        "A header to send with every request; can be given several times. $NAME in it stands for an "
        "environment variable, so that no secret is stored: 'api-key: $AZURE_API_KEY', in single quotes.",
        panel=_JOB,
        operational=True,
        check=headers_problem,
    )
    # The same limit under either name, so what is made does not depend on it.
    token_limit: str = setting(
        "auto",
        "What a chat endpoint calls the token limit: max_tokens, max_completion_tokens, or auto for the "
        "first until the endpoint asks for the second.",
        panel=_JOB,
        rare=True,
        operational=True,
        check=one_of("auto", "max_tokens", "max_completion_tokens"),
    )
    max_concurrency: int = setting(
        32, "Requests in flight at a time.", panel=_JOB, operational=True, check=between(1, 4096)
    )
    request_timeout_s: float = setting(
        300.0,
        "Seconds to wait for a whole reply.",
        panel=_JOB,
        operational=True,
        check=between(0.001, 86400),
    )
    connect_timeout_s: float = setting(
        10.0,
        "Seconds to wait for a connection.",
        panel=_JOB,
        rare=True,
        operational=True,
        check=between(0.001, 3600),
    )
    stall_after: int = setting(
        100,
        "Stop when this many generation requests in a row yield no new instruction.",
        panel=_JOB,
        rare=True,
        operational=True,
        check=at_least(1),
    )
    max_attempts: int = setting(
        6,
        "How often in a row a request is sent before others have their turn.",
        panel=_JOB,
        rare=True,
        operational=True,
        check=between(1, 100),
    )
    give_up_after_s: float = setting(
        7200.0,
        "Seconds to wait for an endpoint that answers nobody any more, before the run stops.",
        panel=_JOB,
        operational=True,
        check=between(0, 30 * 86400),
    )

    price_input: float | None = setting(
        None,
        "Dollars per million tokens of prompts.",
        panel=_COST,
        shown_default="that of the model, if it is known",
        operational=True,
        check=at_least(0),
    )
    price_cached_input: float | None = setting(
        None,
        "The same for tokens that the endpoint has in a cache.",
        panel=_COST,
        rare=True,
        shown_default="that of the model, or else price_input",
        operational=True,
        check=at_least(0),
    )
    price_output: float | None = setting(
        None,
        "Dollars per million tokens of replies.",
        panel=_COST,
        shown_default="that of the model, if it is known",
        operational=True,
        check=at_least(0),
    )
    free: bool = setting(
        default=False,
        text="The endpoint costs nothing, such as a server of your own.",
        panel=_COST,
        operational=True,
    )
    max_cost: float | None = setting(
        None,
        "Dollars that the run may cost, in all its starts together.",
        panel=_COST,
        operational=True,
        check=at_least(0),
    )
    max_tokens_total: int | None = setting(
        None,
        "Tokens of prompts and replies that it may take, likewise.",
        panel=_COST,
        operational=True,
        check=at_least(1),
    )
    max_requests: int | None = setting(
        None,
        "Requests that it may send, likewise, each attempt counted.",
        panel=_COST,
        operational=True,
        check=at_least(1),
    )
    max_time_s: float | None = setting(
        None,
        "Seconds that it may take, likewise.",
        panel=_COST,
        operational=True,
        check=at_least(0),
    )
    confirm_above: float = setting(
        1.0,
        "Ask on a terminal before a start that will probably cost more dollars than that.",
        panel=_COST,
        rare=True,
        operational=True,
        check=at_least(0),
    )
    max_requests_per_minute: int | None = setting(
        None,
        "Requests to send in any minute, at most.",
        panel=_COST,
        shown_default="what the endpoint states in its replies",
        operational=True,
        check=at_least(1),
    )
    max_tokens_per_minute: int | None = setting(
        None,
        "Tokens of prompts and replies to ask for in any minute, at most.",
        panel=_COST,
        shown_default="what the endpoint states in its replies",
        operational=True,
        check=at_least(1),
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            if isinstance(getattr(self, spec.name), By):
                # Frozen from here on; until now a default could not know what the others are.
                object.__setattr__(self, spec.name, self._default(spec))
            check = spec.metadata["check"]
            value = getattr(self, spec.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(spec.name, f"must be a finite number, not {value}")
            if isinstance(value, str | Path) and not _is_text(str(value)):
                raise ConfigError(spec.name, "holds bytes that are no text")
            problem = check(value) if check is not None and value is not None else None
            if problem is not None:
                raise ConfigError(spec.name, problem)
        # As they are read back from YAML and JSON, and nobody else's to change.
        object.__setattr__(self, "extra_header", tuple(self.extra_header))
        body = json.loads(json.dumps(self.extra_body)) if self.extra_body else None
        object.__setattr__(self, "extra_body", body)

    def given(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        return {
            spec.name: getattr(self, spec.name)
            for spec in dataclasses.fields(self)
            if getattr(self, spec.name) != self._default(spec)
        }

    def changed(self, **settings: Any) -> "RunConfig":
        """A copy with other settings. Unlike `dataclasses.replace`, defaults follow what they depend on."""
        return RunConfig(**(self.given() | settings))

    def _default(self, spec: "dataclasses.Field[Any]") -> Any:
        default: Any = spec.default
        if not isinstance(default, By):
            return default
        value = default.values[getattr(self, default.setting)]
        return min(value, getattr(self, default.at_most)) if default.at_most else value

    def lag(self, number: int) -> int:
        """How many commits request `number` (from 1) does not wait for.

        Small at first, so that a short run already draws on its own tasks; growing well above the
        concurrency, so that one slow request does not stall the others. A function of the number alone:
        the pool that a request sees must not depend on timing.
        """
        return min(max(number // 2, self.lag_min), self.lag_max)


OPERATIONAL = frozenset(
    spec.name for spec in dataclasses.fields(RunConfig) if spec.metadata["operational"]
)
"""Settings that may change between starts. `base_url` is one: the same model may move to another address."""

BY_CONTENT = frozenset({"seed_tasks", "prompts"})
"""Settings that count by the content they name; the path itself may change."""


def plain(config: RunConfig) -> dict[str, Any]:
    """All settings as JSON and YAML can hold them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
    }


def fingerprint(
    settings: Mapping[str, Any], *, hashes: Mapping[str, str], versions: Mapping[str, int]
) -> str:
    """What a run is, as 64 hex digits: data settings, content of seeds and templates, versions of the rules.

    `settings` are those the run was made with, as `plain` gives them.
    """
    identity = {
        "settings": {
            name: value
            for name, value in settings.items()
            if name not in OPERATIONAL and name not in BY_CONTENT
        },
        "hashes": dict(hashes),
        "versions": dict(versions),
    }
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
