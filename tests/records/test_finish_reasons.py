"""Test the finish reasons of all vendors, and replies that reach their max_tokens."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct.cost.worst_case import normalize
from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import InstancesStage
from selfinstruct.records import Message, Prompt, Reason, Request, Sampling, Usage
from selfinstruct.records.finish_reasons import Ending, ending

DOCUMENTED = {
    Ending.WHOLE: "stop STOP eos eos_token stop_sequence STOP_SEQUENCE end_turn COMPLETE",
    Ending.CUT: "length MAX_TOKENS max_tokens maxTokens FinishReason.MAX_TOKENS FINISH_REASON_MAX_TOKENS"
    " model_length model_context_window_exceeded ERROR_LIMIT TOKEN_LIMIT TIME_LIMIT REASON_MAX_LEN"
    " REASON_MAX_CONTEXT max_length limit Length LENGTH max-tokens",
    Ending.FILTERED: "content_filter SAFETY RECITATION PROHIBITED_CONTENT SPII BLOCKLIST refusal sensitive"
    " guardrail_intervened content_filtered ERROR_TOXIC",
    Ending.FAILED: "error ERROR abort insufficient_system_resource network_error USER_CANCEL cancelled",
    Ending.UNKNOWN: "OTHER FINISH_REASON_UNSPECIFIED tool_calls eos_2 unlimited",
}
REQUEST = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Continue."),)),
    sampling=Sampling(model="m", max_tokens=64, stop=("\n16",)),
)


def test_documented_words_are_known_in_any_case() -> None:
    for expected, words in DOCUMENTED.items():
        for word in words.split():
            forms = (
                [word, f" {word} "] if word != word.lower() else [word, word.upper(), word.title()]
            )
            assert {form: ending(form) for form in forms} == dict.fromkeys(forms, expected)
    assert ending(None) is ending("") is Ending.UNKNOWN


@given(st.text(max_size=50))
def test_any_word_has_an_ending(word: str) -> None:
    assert ending(word) in Ending


@pytest.mark.parametrize("profile", PROFILES)
def test_a_reply_with_max_tokens_is_cut(profile: str) -> None:
    words = [*" ".join(DOCUMENTED.values()).split(), None]
    for word, (tokens, is_cut) in product(words, [(63, False), (64, True), (65, True)]):
        done = normalize(
            REQUEST,
            make_completion(
                "9. Name a river.\n10. Sum up the le",
                finish_reason=word,
                usage=Usage(prompt_tokens=9, completion_tokens=tokens),
            ),
        )
        assert done.reached_limit is is_cut, word
        assert normalize(REQUEST, done) == done
        if not is_cut:
            continue
        assert done.truncated
        parsed = SELF_INSTRUCT.generate.parsers[profile]("generate/1", done, AskedList())
        assert "Sum up the le" not in [c.instruction for c in parsed.candidates]
        assert Reason.TRUNCATED in {r.reason for r in parsed.rejections}
        written = SELF_INSTRUCT.stage(InstancesStage).parsers[profile](
            "instances/1",
            replace(
                done, text="Example 1\nInput: 2\nOutput: 4\nExample 2\nInput: 3\nOutput: The ni"
            ),
            AskedInstances(output_first=False),
        )
        assert [i.output for i in written.instances] == ["4"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_cut_reply_loses_its_last_item(profile: str) -> None:
    for word in DOCUMENTED[Ending.CUT].split():
        reply = make_completion("9. Name a river.\n10. Sum up the le", finish_reason=word)
        parsed = SELF_INSTRUCT.generate.parsers[profile]("generate/1", reply, AskedList())
        assert "Sum up the le" not in [c.instruction for c in parsed.candidates]


def test_text_before_a_stop_text_is_complete() -> None:
    reply = make_completion(
        "9. Name a river.\n16. Name",
        finish_reason="length",
        usage=Usage(prompt_tokens=9, completion_tokens=64),
    )
    done = normalize(REQUEST, reply)
    assert (done.text, done.truncated) == ("9. Name a river.", False)
    assert normalize(REQUEST, done) == done


def test_a_reply_without_max_tokens_is_complete() -> None:
    free = replace(REQUEST, sampling=replace(REQUEST.sampling, max_tokens=None))
    reply = make_completion(
        "9. Name a river.", usage=Usage(prompt_tokens=9, completion_tokens=10**6)
    )
    assert not normalize(free, reply).truncated


def test_an_extra_max_tokens_decides() -> None:
    sent = replace(
        REQUEST, sampling=replace(REQUEST.sampling, extra={"max_completion_tokens": 100})
    )
    reply = make_completion("9. Name a river.", usage=Usage(prompt_tokens=9, completion_tokens=64))
    assert not normalize(sent, reply).truncated
