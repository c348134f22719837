"""Finish reasons in the words of vendors, and replies that took every token they were allowed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct.backend import finished
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.profiles import PROFILES
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


def test_every_documented_word_is_known_in_any_case() -> None:
    for expected, words in DOCUMENTED.items():
        for word in words.split():
            forms = (
                [word, f" {word} "] if word != word.lower() else [word, word.upper(), word.title()]
            )
            assert {form: ending(form) for form in forms} == dict.fromkeys(forms, expected)
    assert ending(None) is ending("") is Ending.UNKNOWN


@given(st.text(max_size=50))
def test_no_word_raises(word: str) -> None:
    assert ending(word) in Ending


@pytest.mark.parametrize("word", [*" ".join(DOCUMENTED.values()).split(), None])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_reply_at_its_token_limit_is_cut(word: str | None, profile: object) -> None:
    reply = make_completion("9. Name a river.\n10. Sum up the le", finish_reason=word)
    for tokens, is_cut in ((63, False), (64, True), (65, True)):
        counted = replace(reply, usage=Usage(prompt_tokens=9, completion_tokens=tokens))
        done = finished(REQUEST, counted)
        assert done.reached_limit is is_cut
        assert finished(REQUEST, done) == done
        if not is_cut:
            continue
        assert done.truncated
        parsed = profile.read_list["self-instruct"]("generate/1", done, AskedList())  # type: ignore[attr-defined]
        assert "Sum up the le" not in [c.instruction for c in parsed.candidates]
        assert Reason.TRUNCATED in {r.reason for r in parsed.rejections}
        parsed = profile.read_instances(  # type: ignore[attr-defined]
            "instances/1",
            replace(
                done, text="Example 1\nInput: 2\nOutput: 4\nExample 2\nInput: 3\nOutput: The ni"
            ),
            AskedInstances(output_first=False),
        )
        assert [i.output for i in parsed.instances] == ["4"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_cutting_word_drops_the_last_item(profile: object) -> None:
    for word in DOCUMENTED[Ending.CUT].split():
        reply = make_completion("9. Name a river.\n10. Sum up the le", finish_reason=word)
        parsed = profile.read_list["self-instruct"]("generate/1", reply, AskedList())  # type: ignore[attr-defined]
        assert "Sum up the le" not in [c.instruction for c in parsed.candidates]


def test_text_before_a_stop_text_is_whole() -> None:
    reply = make_completion(
        "9. Name a river.\n16. Name",
        finish_reason="length",
        usage=Usage(prompt_tokens=9, completion_tokens=64),
    )
    done = finished(REQUEST, reply)
    assert (done.text, done.truncated) == ("9. Name a river.", False)
    assert finished(REQUEST, done) == done


def test_no_limit_cuts_nothing() -> None:
    free = replace(REQUEST, sampling=replace(REQUEST.sampling, max_tokens=None))
    reply = make_completion(
        "9. Name a river.", usage=Usage(prompt_tokens=9, completion_tokens=10**6)
    )
    assert not finished(free, reply).truncated


def test_the_limit_is_the_one_that_is_sent() -> None:
    sent = replace(
        REQUEST, sampling=replace(REQUEST.sampling, extra={"max_completion_tokens": 100})
    )
    reply = make_completion("9. Name a river.", usage=Usage(prompt_tokens=9, completion_tokens=64))
    assert not finished(sent, reply).truncated
