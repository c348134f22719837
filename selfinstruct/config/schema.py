"""`RunConfig`: every setting of a run, declared once.

The YAML file, the command line, the copy in the run directory and the fingerprint all use this declaration.
Precedence: defaults < YAML file < flags.

*Data* settings decide what the dataset contains, given the replies. They are part of the fingerprint and
cannot change once the run has a reply. *Operational* settings decide how the run is carried out: speed,
size, address, limits. They may change at every start; the run remembers the latest values.

    >>> RunConfig(model="m", threshold=0.8).given()
    {'model': 'm', 'threshold': 0.8}
    >>> RunConfig(model="m", threshold=7)
    Traceback (most recent call last):
    selfinstruct.errors.ConfigError: threshold: must be between 0 and 1, not 7
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfinstruct.config.fields import By, at_least, between, one_of, setting
from selfinstruct.config.recipe_defaults import RECIPE_DEFAULTS
from selfinstruct.config.request_extras import body_problem, headers_problem
from selfinstruct.errors import ConfigError


def web_address_problem(value: str) -> str | None:
    """Return the problem with the address of an endpoint, or None; never repeats the address."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0) and value.isascii()
    except ValueError:
        is_address = False
    if not is_address or not value.isprintable() or " " in value:
        return "must be an address such as http://localhost:8000/v1"
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The address is stored and shown, and a secret in the address would be too.
        return (
            "must not contain a user name, a password or a query; "
            "put the key into an environment variable"
        )
    return None


def _model_problem(value: str) -> str | None:
    if value and not value.strip():
        return "is blank; name a model, for example --model gpt-5.4-mini"
    if not value.isprintable():
        return "contains invisible characters; write the name as the endpoint does"
    return None


def _variable_name_problem(value: str) -> str | None:
    # Do not echo the value: a user who confuses this setting with the key has typed the key.
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        return "must be the name of an environment variable, such as OPENAI_API_KEY"
    return None


def _text_problem(value: object) -> str | None:
    """Return why a path or text cannot be stored or used, or None."""
    if isinstance(value, Path) and "\0" in str(value):
        return "contains a NUL character, which no path can contain"
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError:
        return "contains bytes that are not text"
    return None


def _by_recipe(name: str, *, at_most: str = "") -> By:
    values = {recipe: defaults[name] for recipe, defaults in RECIPE_DEFAULTS.items()}
    return By("recipe", values, at_most)


_dataset = partial(setting, panel="Dataset")
_rare_dataset = partial(_dataset, rare=True)
_lag = partial(_rare_dataset, check=at_least(1))
_sampling = partial(setting, panel="Sampling", rare=True)
_temperature = partial(_sampling, check=between(0, 100))
_penalty = partial(_sampling, check=between(-100, 100))
_reply_tokens = partial(_sampling, check=at_least(1))
_job = partial(setting, panel="How to run", operational=True)
_rare_job = partial(_job, rare=True)
_cost = partial(setting, panel="Costs and limits", operational=True)
_rare_cost = partial(_cost, rare=True)
_amount = partial(_cost, check=at_least(0))
_count = partial(_cost, check=at_least(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """All settings of a run. Raises ConfigError for an invalid value."""

    model: str = _dataset(
        "", "Name of the model at the endpoint.", short="-m", check=_model_problem
    )
    recipe: str = _dataset(
        next(iter(RECIPE_DEFAULTS)),
        "Method: self-instruct (Wang et al., 2022), in three stages, or alpaca (Taori et al., 2023), in one.",
        check=one_of(*RECIPE_DEFAULTS),
    )
    profile: str = _dataset(
        "default",
        "Parsing and filtering rules: default, or paper (the published code).",
        check=one_of("default", "paper"),
    )
    api: str = _dataset(
        "chat",
        "API of the endpoint: chat, or completions for base models.",
        check=one_of("chat", "completions"),
    )
    seed_tasks: Path | None = _dataset(
        None,
        "Seed tasks: JSONL in the published schema, or a JSON or JSONL list in Alpaca's format.",
        shown_default="the 175 published ones",
    )
    prompts: Path | None = _dataset(
        None, "Folder with prompt templates.", shown_default="the templates of the recipe"
    )
    classification_seeds_only: bool = _rare_dataset(
        default=False,
        help_text="Use only the classification tasks of the seed tasks, and ask for classification tasks.",
    )
    demonstrations: int = _rare_dataset(
        _by_recipe("demonstrations"),
        "Example tasks in each prompt for new tasks.",
        check=between(1, 100),
    )
    generated_demonstrations: int = _rare_dataset(
        _by_recipe("generated_demonstrations", at_most="demonstrations"),
        "Example tasks that are generated tasks, once there are enough; the others are seed tasks.",
        check=between(0, 100),
    )
    show_input: bool = _rare_dataset(
        default=False,
        help_text="Show the first input of each example task (alpaca always does).",
    )
    seed: int = _dataset(0, "Seed of all random draws.")
    threshold: float = _dataset(
        0.7,  # Self-Instruct §2.2
        "Maximum ROUGE-L between a new instruction and the pool; a higher score is a duplicate.",
        short="-t",
        check=between(0, 1),
    )
    tokenizer: str = _rare_dataset(
        By("profile", {"default": "unicode", "paper": "rouge"}),
        "Words that ROUGE-L compares: unicode (any script), or rouge (a-z and 0-9, as published).",
        check=one_of("unicode", "rouge"),
    )
    max_instances: int = _rare_dataset(
        5,  # Self-Instruct's published code keeps at most five
        "Maximum number of instances for each task.",
        check=between(1, 20),
    )
    lag_min: int = _lag(
        4,
        "Minimum number of replies that a generation request may run ahead of the pool. "
        "Changes the dataset.",
    )
    lag_max: int = _lag(
        512,
        "Maximum number of replies that a generation request may run ahead of the pool. "
        "Changes the dataset.",
    )

    # Self-Instruct, appendix A.1 and Table 4, except max_tokens: 3 for a classification and 300 for an
    # instance were enough for a base model with stop sequences; chat models need more.
    generate_temperature: float | None = _temperature(
        _by_recipe("generate_temperature"),
        "Temperature for instructions.",
    )
    generate_top_p: float | None = _sampling(
        _by_recipe("generate_top_p"),
        "Nucleus sampling (top_p) for instructions.",
        check=between(0, 1),
    )
    generate_presence_penalty: float | None = _penalty(
        _by_recipe("generate_presence_penalty"),
        "Presence penalty for instructions.",
    )
    generate_max_tokens: int | None = _reply_tokens(
        _by_recipe("generate_max_tokens"),
        "max_tokens for instructions.",
    )
    classify_temperature: float | None = _temperature(0.0, "Temperature for classification.")
    classify_max_tokens: int | None = _reply_tokens(16, "max_tokens for classification.")
    instances_temperature: float | None = _temperature(0.0, "Temperature for instances.")
    instances_presence_penalty: float | None = _penalty(1.5, "Presence penalty for instances.")
    instances_max_tokens: int | None = _reply_tokens(1024, "max_tokens for instances.")
    extra_body: Mapping[str, Any] | None = _sampling(
        None,
        'More members for the body of every request, as a JSON object such as {"top_k": 20}; null removes a '
        "member.",
        rare=False,
        check=body_problem,
    )

    num_instructions: int = _job(
        100, "Accepted instructions to reach, without seed tasks.", short="-n", check=at_least(1)
    )
    base_url: str | None = _job(
        None,
        "Address of the endpoint, up to and including /v1.",
        shown_default="$OPENAI_BASE_URL, or https://api.openai.com/v1",
        check=web_address_problem,
    )
    api_key_env: str = _job(
        "OPENAI_API_KEY",
        "Name of the environment variable that contains the API key.",
        check=_variable_name_problem,
    )
    extra_header: tuple[str, ...] = _job(
        (),
        "Header for every request; repeatable. $NAME inserts an environment variable when the request is "
        "sent, so no secret is stored: 'api-key: $AZURE_API_KEY', in single quotes.",
        check=headers_problem,
    )
    token_limit: str = _rare_job(
        "auto",
        "Parameter of chat requests that limits a reply: max_tokens, max_completion_tokens, or auto to "
        "start with the first and switch when the endpoint asks for the second.",
        check=one_of("auto", "max_tokens", "max_completion_tokens"),
    )
    max_concurrency: int = _job(32, "Maximum number of requests in flight.", check=between(1, 4096))
    request_timeout_s: float = _job(
        300.0, "Seconds to wait for a complete reply.", check=between(0.001, 86400)
    )
    connect_timeout_s: float = _rare_job(
        10.0, "Seconds to wait for a connection.", check=between(0.001, 3600)
    )
    stall_after: int = _rare_job(
        100,
        "Stop after this many generation requests in a row without a new instruction.",
        check=at_least(1),
    )
    max_attempts: int = _rare_job(
        6,
        "Attempts in a row at a request before other requests have their turn.",
        check=between(1, 100),
    )
    give_up_after_s: float = _job(
        7200.0,
        "Seconds to wait for an endpoint that does not respond before the run stops.",
        check=between(0, 30 * 86400),
    )

    price_input: float | None = _amount(
        None,
        "Dollars per million prompt tokens.",
        shown_default="the model's price",
    )
    price_cached_input: float | None = _rare_cost(
        None,
        "Dollars per million cached prompt tokens.",
        shown_default="the price of the model, or price_input",
        check=at_least(0),
    )
    price_output: float | None = _amount(
        None,
        "Dollars per million completion tokens.",
        shown_default="the model's price",
    )
    free: bool = _cost(default=False, help_text="The endpoint is free, such as a server you run.")
    max_cost: float | None = _amount(
        None, "Maximum cost of the run in dollars, over all its starts."
    )
    max_tokens_total: int | None = _count(
        None, "Maximum number of prompt and completion tokens of the run."
    )
    max_requests: int | None = _count(
        None, "Maximum number of requests of the run; every attempt counts."
    )
    max_time_s: float | None = _amount(
        None, "Maximum time of the run in seconds, over all its starts."
    )
    confirm_above: float = _rare_cost(
        1.0,
        "Ask for confirmation on a terminal when a start will probably cost more dollars.",
        check=at_least(0),
    )
    max_requests_per_minute: int | None = _count(
        None,
        "Rate limit: requests in any minute.",
        shown_default="the limit that the endpoint states",
    )
    max_tokens_per_minute: int | None = _count(
        None,
        "Rate limit: prompt and completion tokens in any minute.",
        shown_default="the limit that the endpoint states",
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            if isinstance(getattr(self, spec.name), By):
                # The default depends on a setting that was not known before.
                object.__setattr__(self, spec.name, self._default(spec))
            value = getattr(self, spec.name)
            check = spec.metadata["check"]
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(spec.name, f"must be a finite number, not {value}")
            problem = _text_problem(value) if isinstance(value, str | Path) else None
            if problem is None and check is not None and value is not None:
                problem = check(value)
            if problem is not None:
                raise ConfigError(spec.name, problem)
        # Copies that nothing outside can change, equal to what YAML and JSON give back.
        object.__setattr__(self, "extra_header", tuple(self.extra_header))
        body = json.loads(json.dumps(self.extra_body)) if self.extra_body else None
        object.__setattr__(self, "extra_body", body)

    def given(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        return {
            spec.name: getattr(self, spec.name)
            for spec in dataclasses.fields(self)
            if getattr(self, spec.name) != self._default(spec)
        }

    def changed(self, **settings: Any) -> "RunConfig":
        """Return a copy with other settings; unlike in `dataclasses.replace`, defaults are computed again."""
        return RunConfig(**(self.given() | settings))

    def _default(self, spec: "dataclasses.Field[Any]") -> Any:
        default: Any = spec.default
        if not isinstance(default, By):
            return default
        value = default.values[getattr(self, default.setting)]
        return min(value, getattr(self, default.at_most)) if default.at_most else value

    def lag(self, number: int) -> int:
        """Return how many commits request `number` (from 1) does not wait for.

        The lag depends on the number alone, because timing must not change the pool that a request sees. It
        starts small, so that a short run uses its own tasks in prompts. It grows well above the concurrency,
        so that one slow request does not stall the others.
        """
        return min(max(number // 2, self.lag_min), self.lag_max)


OPERATIONAL = frozenset(
    spec.name for spec in dataclasses.fields(RunConfig) if spec.metadata["operational"]
)
"""Settings that may change between starts, among them `base_url`: a model may move to another address."""

BY_CONTENT = frozenset({"seed_tasks", "prompts"})
"""Settings that count by the content of a file or folder; the path may change."""


def plain(config: RunConfig) -> dict[str, Any]:
    """Return all settings in types that JSON and YAML have."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(config).items()
    }


def fingerprint(
    settings: Mapping[str, Any], *, hashes: Mapping[str, str], versions: Mapping[str, int]
) -> str:
    """Return the identity of a run: 64 hex digits.

    The fingerprint covers the data settings (from `plain`), the hashes of seed tasks and templates, and the
    versions of the rules.
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
