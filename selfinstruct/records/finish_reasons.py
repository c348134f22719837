"""Finish reasons of all vendors, and the end of a reply that each of them means.

    "stop"  "eos_token"  "end_turn"                 the model completed the reply
    "length"  "MAX_TOKENS"  "model_length"          max_tokens or the context window cut the reply
    "content_filter"  "SAFETY"  "refusal"           a filter cut or replaced the reply
    "error"  "abort"  "network_error"               the endpoint failed during the reply
    null  "OTHER"  any other word   unknown

Relays forward the words of other vendors, and upper and lower case differ between vendors.
"""

import re
from enum import StrEnum


class Ending(StrEnum):
    """End of a reply."""

    WHOLE = "whole"
    CUT = "cut"
    FILTERED = "filtered"
    FAILED = "failed"
    UNKNOWN = "unknown"


# The comment after each line names the documentation with these words.
_WORDS = {
    Ending.WHOLE: (
        "stop"  # OpenAI, and most endpoints that follow OpenAI; Gemini
        " eos eos_token"  # Together; text-generation-inference, watsonx
        " stop_sequence end_turn"  # Anthropic, Bedrock, text-generation-inference, Cohere
        " complete finished normal"  # Cohere; AI21; ERNIE
    ),
    Ending.CUT: (
        "length max_tokens"  # OpenAI; Anthropic, Bedrock, Gemini, Cohere, watsonx
        " model_length"  # Mistral
        " model_context_window_exceeded"  # Anthropic, Bedrock, Zhipu
        " error_limit timeout"  # Cohere
        " token_limit time_limit not_finished"  # watsonx
        " max_len max_context"  # xAI: REASON_MAX_LEN, REASON_MAX_CONTEXT
        " max_length max_new_tokens max_output_tokens max_completion_tokens context_length"
        " context_length_exceeded limit truncated"  # llama.cpp, and parameter names
        " incomplete pause_turn"  # OpenAI Responses; Anthropic
        " repetition"  # vLLM: stopped because the text repeats
    ),
    Ending.FILTERED: (
        "content_filter content_filtered"  # OpenAI, Azure; Bedrock
        " safety recitation language blocklist prohibited_content spii image_safety model_armor"  # Gemini
        " refusal"  # Anthropic
        " guardrail_intervened"  # Bedrock
        " error_toxic"  # Cohere
        " sensitive"  # Zhipu
    ),
    Ending.FAILED: (
        "error"  # OpenRouter, Mistral, Cohere, vLLM, watsonx
        " abort aborted cancelled canceled user_cancel"  # vLLM, SGLang; watsonx; Cohere
        " insufficient_system_resource"  # DeepSeek
        " network_error"  # Zhipu
        " failed"  # OpenAI Responses
    ),
}
_ENDINGS = {word: ending for ending, words in _WORDS.items() for word in words.split()}

_PREFIX = re.compile(r"^(?:.*[.:])?(?:(?:finish|stop)_?reason_|reason_)?")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def ending(finish_reason: str | None) -> Ending:
    """Return the end that a finish reason means, in any spelling: "MAX_TOKENS", "maxTokens", "max-tokens"."""
    if not finish_reason:
        return Ending.UNKNOWN
    if (known := _ENDINGS.get(finish_reason)) is not None:
        return known
    word = re.sub(r"[\s-]+", "_", _HUMP.sub("_", finish_reason.strip())).lower()
    return _ENDINGS.get(_PREFIX.sub("", word), Ending.UNKNOWN)
