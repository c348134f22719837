"""Ids of requests and of the items in their replies.

    generate/000123               generation request 123
    classify/task_000001          the question about the kind of a task
    classify/task_000001/again    the same question, asked a second time
    instances/task_000001         the request for the instances of a task
    import/task_000001            the instances that a task was imported with

An item of a reply adds its number: "generate/000123#7". Number 0 means the whole reply.
"""

from collections.abc import Iterator, Sequence

from selfinstruct.records import Instance, Rejection


def generation_id(number: int) -> str:
    """Return the id of generation request `number`."""
    return f"generate/{number:06d}"


def classification_id(task_id: str, *, again: bool) -> str:
    """Return the id of the first or second question about the kind of a task."""
    return f"classify/{task_id}/again" if again else f"classify/{task_id}"


def instances_id(task_id: str) -> str:
    """Return the id of the request for the instances of a task."""
    return f"instances/{task_id}"


def import_id(task_id: str) -> str:
    """Return the id that takes the place of a request id for imported instances."""
    return f"import/{task_id}"


def task_of(request_id: str) -> str:
    """Return the task id in the id of a classification or instance request."""
    return request_id.split("/")[1]


def item_number(item_id: str) -> int:
    """Return the number of an item: 7 for "generate/000123#7"."""
    return int(item_id.rpartition("#")[2])


def in_reply_order(
    instances: Sequence[Instance], rejections: Sequence[Rejection]
) -> Iterator[tuple[int, Instance | Rejection]]:
    """Yield the numbered items of a reply from its accepted and rejected instances.

    Accepted instances carry no number. They fill the numbers that no rejection has, in order.
    """
    rejected = {item_number(rejection.candidate_id): rejection for rejection in rejections}
    accepted = iter(instances)
    last = len(instances) + len(rejected)
    for number in [0] if 0 in rejected else range(1, last + 1):
        item = rejected[number] if number in rejected else next(accepted, None)
        if item is not None:
            yield number, item
