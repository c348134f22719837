"""What a refused request means: an outcome of its own, or a wrong set-up."""

import pytest

from selfinstruct.errors import EndpointError, RequestRejectedError
from selfinstruct.records import Message, Prompt, Request, Sampling
from selfinstruct.runner.bad_requests import Refusals


def request(number: int) -> Request:
    return Request(
        id=f"generate/{number:06d}",
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content="x"),)),
        sampling=Sampling(model="m"),
    )


def refuse(refusals: Refusals, number: int, problem: str = "400: unknown parameter") -> None:
    refusals.sent(request(number))
    refusals.refused(request(number), RequestRejectedError(problem, status=400))


def test_five_in_a_row_with_one_message_are_a_wrong_set_up_in_the_servers_words() -> None:
    refusals = Refusals({"generate": 1})
    for number in range(4):
        refuse(refusals, number)
    with pytest.raises(
        EndpointError, match=r"5 requests in a row were refused .* unknown parameter"
    ):
        refuse(refusals, 5)


def test_messages_that_name_other_lengths_are_about_their_prompts_until_ten() -> None:
    refusals = Refusals({"generate": 1})
    for number in range(9):
        refuse(refusals, number, f"400: {1024 + number} tokens are too many")
    with pytest.raises(EndpointError, match="10 requests in a row"):
        refuse(refusals, 10, "400: 2048 tokens are too many")


def test_only_an_answer_to_what_was_sent_after_a_refusal_makes_it_an_outcome() -> None:
    refusals = Refusals({"generate": 1})
    early, late = request(1), request(3)
    refusals.sent(early)
    refuse(refusals, 2)
    assert refusals.answered(early) == []
    refusals.sent(late)
    refuse(refusals, 4)
    assert [refused.request.id for refused in refusals.answered(late)] == ["generate/000002"]
    assert refusals


def test_where_nothing_else_can_be_asked_one_or_two_are_believed_if_others_were_answered() -> None:
    refusals = Refusals({"generate": 1})
    refuse(refusals, 1)
    refuse(refusals, 2, "400: too long")
    assert [refused.request.id for refused in refusals.believed()] == [
        "generate/000001",
        "generate/000002",
    ]
    assert not refusals

    refusals = Refusals()
    refuse(refusals, 1)
    with pytest.raises(EndpointError, match="the only request was refused and none was answered"):
        refusals.believed()


def test_a_few_at_the_end_of_a_long_run_are_believed() -> None:
    refusals = Refusals({"generate": 200})
    for number in range(3):
        refuse(refusals, number)
    assert len(refusals.believed()) == 3
    for number in range(4):
        refuse(refusals, number)
    with pytest.raises(EndpointError, match="4 requests in a row"):
        refusals.believed()
