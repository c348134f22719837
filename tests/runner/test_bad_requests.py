"""What a refused request means: an outcome of its own, or a wrong set-up."""

import pytest

from selfinstruct.errors import EndpointError, RequestRejectedError
from selfinstruct.records import Message, Prompt, Request, Sampling
from selfinstruct.runner.bad_requests import BadRequests


def request(number: int) -> Request:
    return Request(
        id=f"generate/{number:06d}",
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content="x"),)),
        sampling=Sampling(model="m"),
    )


def refuse(bad_requests: BadRequests, number: int, problem: str = "400: unknown parameter") -> None:
    bad_requests.sent(request(number))
    bad_requests.refused(request(number), RequestRejectedError(problem, status=400))


def test_five_in_a_row_with_one_message_are_a_wrong_set_up_in_the_servers_words() -> None:
    bad_requests = BadRequests({"generate": 1})
    for number in range(4):
        refuse(bad_requests, number)
    with pytest.raises(
        EndpointError, match=r"5 requests in a row were refused .* unknown parameter"
    ):
        refuse(bad_requests, 5)


def test_messages_that_name_other_lengths_are_about_their_prompts_until_ten() -> None:
    bad_requests = BadRequests({"generate": 1})
    for number in range(9):
        refuse(bad_requests, number, f"400: {1024 + number} tokens are too many")
    with pytest.raises(EndpointError, match="10 requests in a row"):
        refuse(bad_requests, 10, "400: 2048 tokens are too many")


def test_only_an_answer_to_what_was_sent_after_a_refusal_makes_it_an_outcome() -> None:
    bad_requests = BadRequests({"generate": 1})
    early, late = request(1), request(3)
    bad_requests.sent(early)
    refuse(bad_requests, 2)
    assert bad_requests.answered(early) == []
    bad_requests.sent(late)
    refuse(bad_requests, 4)
    assert [refused.request.id for refused in bad_requests.answered(late)] == ["generate/000002"]
    assert bad_requests


def test_where_nothing_else_can_be_asked_one_or_two_are_believed_if_others_were_answered() -> None:
    bad_requests = BadRequests({"generate": 1})
    refuse(bad_requests, 1)
    refuse(bad_requests, 2, "400: too long")
    assert [refused.request.id for refused in bad_requests.believed()] == [
        "generate/000001",
        "generate/000002",
    ]
    assert not bad_requests

    bad_requests = BadRequests()
    refuse(bad_requests, 1)
    with pytest.raises(EndpointError, match="the only request was refused and none was answered"):
        bad_requests.believed()


def test_a_few_at_the_end_of_a_long_run_are_believed() -> None:
    bad_requests = BadRequests({"generate": 200})
    for number in range(3):
        refuse(bad_requests, number)
    assert len(bad_requests.believed()) == 3
    for number in range(4):
        refuse(bad_requests, number)
    with pytest.raises(EndpointError, match="4 requests in a row"):
        bad_requests.believed()
