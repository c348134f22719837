"""Ids of requests, and of the items in their replies.

    generate/000123               generation request 123
    classify/task_000001          the request to classify a task
    classify/task_000001/again    the second request to classify it, after an unclear answer
    instances/task_000001         the request for a task's instances
    import/task_000001            the instances that a task was imported with (no request)

The id of an item is the request id and the item's number: "generate/000123#7". Number 0 means the whole
reply.
"""

from collections.abc import Iterator, Sequence

from selfinstruct.records import Instance, Rejection


def generation_id(number: int) -> str:
    """Return the id of generation request `number`."""
    return f"generate/{number:06d}"


def classification_id(task_id: str, *, again: bool) -> str:
    """Return the id of the first request to classify a task, or of the second one if `again` is true."""
    return f"classify/{task_id}/again" if again else f"classify/{task_id}"


def instances_id(task_id: str) -> str:
    """Return the id of the request for a task's instances."""
    return f"instances/{task_id}"


def import_id(task_id: str) -> str:
    """Return the id that imported instances use in place of a request id."""
    return f"import/{task_id}"


def task_of(request_id: str) -> str:
    """Return the task id that the id of a classification or instance request contains."""
    return request_id.split("/")[1]


def item_number(item_id: str) -> int:
    """Return the number in an item's id, such as 7 in "generate/000123#7"."""
    return int(item_id.rpartition("#")[2])


def in_reply_order(
    instances: Sequence[Instance], rejections: Sequence[Rejection]
) -> Iterator[tuple[int, Instance | Rejection]]:
    """Yield a reply's accepted and rejected instances in their order in the reply, with their numbers.

    Accepted instances are stored without numbers. They get, in order, the numbers that no rejection has.
    """
    rejected = {item_number(rejection.candidate_id): rejection for rejection in rejections}
    accepted = iter(instances)
    last = len(instances) + len(rejected)
    for number in [0] if 0 in rejected else range(1, last + 1):
        item = rejected[number] if number in rejected else next(accepted, None)
        if item is not None:
            yield number, item
