"""`explain` finds everything that a model wrote, and reports what the journal and the pool say about it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer
from support import ScriptedBackend, make_seed_task, scripted_text

from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.explain.results import (
    CandidateResult,
    Excerpt,
    Explanation,
    InstanceResult,
    RequestResult,
    TaskResult,
)
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import RequestRejectedError
from selfinstruct.journal_events import CompletionReceived
from selfinstruct.pipeline import tokenizers
from selfinstruct.pipeline.decide import commit
from selfinstruct.pipeline.parse.shared import folded
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Completion, Reason, Request
from selfinstruct.records.ids import generation_id
from selfinstruct.records.reasons import MEANING
from selfinstruct.runner.directory import read_history


def talkative_text(request: Request) -> str:
    """Return the scripted text surrounded by reasoning, an introduction, markup and a closing line."""
    text = scripted_text(request)
    if request.stage == "classify":
        return text if request.id < "classify/task_000004" else "Sure, go on."
    if request.id == "instances/task_000002":
        return "Output: Ash\nOutput: \nInput: a lot\nOutput: A lot"
    if request.stage != "generate":
        return text
    lines = text.splitlines()
    return "\n".join(
        [
            f"<think>The user wants {request.id}.</think>",
            "Here are the tasks you asked for:",
            "",
            lines[0].replace(". ", ". **", 1) + "**",
            "Input: the ninth island",
            *lines[1:],
            "",
            "Let me know if you want MORE of these!",
        ]
    )


class Refusing(ScriptedBackend):
    """A backend that rejects one request."""

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        if request.id == "instances/task_000003":
            raise RequestRejectedError("not this one", status=422)
        return completion


def history_of(directory: Path) -> History:
    return History(*read_history(directory))


@pytest.fixture(scope="module", params=["default", "paper"])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a talkative model's finished run, once for each profile. Lookups do not change the history."""
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "seeds.jsonl").write_bytes(
        render_seed_tasks([make_seed_task(number) for number in range(10)])
    )
    config = RunConfig(
        model="scripted",
        num_instructions=20,
        seed_tasks=directory / "seeds.jsonl",
        profile=request.param,
    )
    run(directory / "run", config, backend=Refusing(talkative_text))
    return history_of(directory / "run")


def replies(history: History) -> Iterator[CompletionReceived]:
    for _, outcome in history.outcomes.values():
        if isinstance(outcome, CompletionReceived):
            yield outcome


def candidates(history: History) -> Iterator[CandidateResult]:
    for name in history.decisions:
        for item in history.items(name):
            if isinstance(item, CandidateResult):
                yield item


# ── finding ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_line_of_every_reply_can_be_found(history: History) -> None:
    for outcome in replies(history):
        for line in outcome.completion.text.splitlines():
            if line.strip():
                explanation = explain(history, line, limit=1)
                assert explanation.total, line
                assert explanation.how in ("exact", "part", "reply")


def test_every_reply_can_be_found_whole(history: History) -> None:
    for outcome in replies(history):
        assert explain(history, outcome.completion.text, limit=1).total


def test_everything_is_found_by_its_id(history: History) -> None:
    for task in history.run.state.pool:
        (result,) = explain(history, task.id).found
        assert isinstance(result, TaskResult)
        assert result.kind == ("task" if task.origin == "generated" else "seed task")
        assert (result.id, result.instruction) == (task.id, task.instruction)
    for name in history.outcomes:
        (result,) = explain(history, name).found
        assert isinstance(result, RequestResult)
        for item in result.items:
            (again,) = explain(history, item.id).found
            if isinstance(item, CandidateResult) and item.task_id is not None:
                assert isinstance(again, TaskResult)
                assert again.candidate == item
            else:
                assert again == item


def test_every_decision_appears_once(history: History) -> None:
    told = list(candidates(history))
    assert len({result.id for result in told}) == len(told)
    accepted = [result.task_id for result in told if result.outcome == "accepted"]
    assert accepted == [task.id for task in history.run.state.pool.generated]
    rejected = [result.reason for result in told if result.outcome == "rejected"]
    assert len(rejected) == history.run.state.counts.rejected.total()
    assert all(result.meaning == MEANING[result.reason] for result in told if result.reason)


def test_instances_have_the_order_of_the_reply(history: History) -> None:
    for task in history.run.state.pool.generated:
        items = [
            item
            for item in history.items(f"instances/{task.id}")
            if isinstance(item, InstanceResult)
        ]
        kept = tuple(item.instance for item in items if item.instance is not None)
        assert kept == task.instances
        numbers = [int(item.id.rpartition("#")[2]) for item in items]
        assert numbers in ([0], list(range(1, len(items) + 1)))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("task_1", "task_000001"),
        ("  task_000001\n", "task_000001"),
        ("generate/1", "generate/000001"),
        ("generate/2#1", "generate/000002#1"),
        ("instances/task_5", "instances/task_000005"),
        ("Classify/Task_5", "classify/task_000005"),
        ("TASK_5", "task_000005"),
        ("GENERATE/2 # 1", "generate/000002#1"),
        ("instances/task_1 #1", "instances/task_000001#1"),
        ("Seed_Task_3", "seed_task_3"),
    ],
)
def test_an_id_may_be_abbreviated(history: History, query: str, name: str) -> None:
    assert explain(history, query).found == (history.by_id(name),)


def test_case_and_white_space_do_not_matter(tmp_path: Path, config: RunConfig) -> None:
    def write(request: Request) -> str:
        if request.stage != "generate":
            return scripted_text(request)
        return "9. Name five rivers that flow north and say where they end.\n10. Name five rivers"

    run(tmp_path / "run", replace(config, num_instructions=1), backend=ScriptedBackend(write))
    history = history_of(tmp_path / "run")
    whole = explain(history, "  name FIVE\n rivers ")
    assert (whole.how, [result.kind for result in whole.found]) == ("exact", ["candidate"])
    part = explain(history, "RIVERS that   flow")
    assert (part.how, [result.kind for result in part.found]) == ("part", ["task"])


def test_many_matches_are_counted_and_cut(history: History) -> None:
    explanation = explain(history, "the", limit=3)
    assert explanation.how == "part"
    assert len(explanation.found) == 3
    assert explanation.total > 10


def test_all_matches_are_shown_without_a_limit(history: History) -> None:
    explanation = explain(history, "the", limit=None)
    assert len(explanation.found) == explanation.total > 10


def test_other_places_of_a_text_are_named(tmp_path: Path, config: RunConfig) -> None:
    """Even if an item matches exactly, other items and replies that contain the text are reported."""

    def write(request: Request) -> str:
        if request.stage != "generate":
            return scripted_text(request)
        text = "9. Name five rivers\n10. Name five rivers that flow north and say where they end."
        return f"{text}\n\nOr shall I name five rivers?"

    run(tmp_path / "run", replace(config, num_instructions=1), backend=ScriptedBackend(write))
    history = history_of(tmp_path / "run")
    whole = explain(history, "name five rivers")
    assert (whole.how, whole.partial) == ("exact", whole.total)
    every = tuple(sorted(name for name in history.outcomes if name.startswith("generate/")))
    assert whole.in_replies == every
    part = explain(history, "five rivers")
    assert (part.how, part.partial, part.in_replies) == ("part", 0, every)
    outside = explain(history, "Or shall I", limit=None)
    assert [result.request_id for result in outside.found if isinstance(result, Excerpt)] == list(
        every
    )


def test_a_copy_from_the_terminal_matches(tmp_path: Path, config: RunConfig) -> None:
    text = "Describe the \x1b[31mwell-known\u202e harbour-side café of Reykjavík."
    said = "So be\tit, \x07 then."

    def write(request: Request) -> str:
        if request.stage != "generate":
            return scripted_text(request)
        return f"9. {text}\n10. Name five rivers that flow north.\n\n{said}"

    run(tmp_path / "run", replace(config, num_instructions=1), backend=ScriptedBackend(write))

    def shown(text: str) -> str:
        return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)

    history = History(*read_history(tmp_path / "run"), shown=shown)
    copy = shown(text)
    cut, broken = copy[:40] + "…", copy[:25] + "\n    " + copy[25:]
    for query in (text, copy, broken):
        assert explain(history, query).how == "exact", query
    assert explain(history, cut).how == "part"
    assert explain(history, "fiverivers").how == explain(history, "riv ers").how == "none"
    for query in (said, shown(said), "so be it"):
        result = explain(history, query).found[0]
        assert isinstance(result, Excerpt)
        assert (result.line, result.text) in ((4, said), (4, shown(said)))


def test_text_outside_items_is_found_in_replies(history: History) -> None:
    goodbye = explain(history, "you want more of THESE!", limit=1)
    if history.run.config.profile == "paper":
        assert goodbye.how == "part"  # this line is part of the last item
        return
    assert goodbye.how == "reply"
    (result,) = goodbye.found
    assert isinstance(result, Excerpt)
    assert result.text == "Let me know if you want MORE of these!"
    assert result.items == ()
    thought = explain(history, "the user wants generate/000002").found[0]
    assert isinstance(thought, Excerpt)
    assert (thought.request_id, thought.line) == ("generate/000002", 1)


def test_a_list_line_leads_to_its_item(history: History) -> None:
    reply = next(replies(history)).completion.text
    line = next(line for line in reply.splitlines() if line.startswith("10. "))
    for query in (line, line[: len(line) // 2]):
        explanation = explain(history, query)
        assert explanation.how == "reply"
        result = explanation.found[0]
        assert isinstance(result, Excerpt)
        assert any(folded(item.text) in folded(line) for item in result.items)


def test_a_long_line_is_cut_around_the_match(tmp_path: Path, config: RunConfig) -> None:
    def write(request: Request) -> str:
        if request.id != "generate/000002":
            return scripted_text(request)
        return f"I {'really ' * 300}cannot do the zebra thing{' at all' * 300}."

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    history = history_of(tmp_path / "run")
    whole = history.by_id("generate/000002#0")
    assert isinstance(whole, CandidateResult)
    assert whole.nearest is None
    excerpt = history.excerpt("generate/000002", "the  ZEBRA thing")
    assert "cannot do the zebra thing" in excerpt.text
    assert excerpt.text.startswith("…")
    assert excerpt.text.endswith("…")
    assert len(excerpt.text) < 500


def test_an_undecided_reply_is_found_with_a_reason(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    before, entries = read_history(tmp_path / "run")
    whole = list(entries)
    first = next(n for n, entry in enumerate(whole) if entry.event.kind == "committed")
    history = History(before, whole[:first])
    for name, (_, outcome) in history.outcomes.items():
        assert isinstance(outcome, CompletionReceived)
        result = explain(history, outcome.completion.text).found[0]
        assert isinstance(result, Excerpt)
        assert "generate/000001 is next" in result.problem
        assert history.request(name).items == ()


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────


class _Unicode:
    tokenize = staticmethod(tokenizers.unicode)


def test_the_nearest_task_equals_brute_force(history: History) -> None:
    """A candidate is compared with tasks from earlier replies, and with earlier tasks from its own reply."""
    is_default = history.run.config.tokenizer == "unicode"
    scorer = RougeScorer(["rougeL"], tokenizer=_Unicode() if is_default else None)
    seeds = list(history.run.state.pool)[: history.run.state.pool.seed_count]
    pool = [(task.id, task.instruction) for task in seeds]
    for result in candidates(history):
        scores = [scorer.score(text, result.text)["rougeL"].fmeasure for _, text in pool]
        assert result.nearest is not None
        assert result.nearest.rouge_l == max(scores)
        assert result.nearest.task_id == pool[scores.index(max(scores))][0]
        threshold = history.run.config.threshold
        assert (result.nearest.rouge_l > threshold) == (result.reason is Reason.NOT_NOVEL) or (
            result.stage in ("parse", "filter")
        )
        if result.reason is Reason.NOT_NOVEL:
            assert result.witness is not None
            assert threshold < result.witness.rouge_l <= result.nearest.rouge_l
        if result.task_id is not None:
            pool.append((result.task_id, result.text))


def test_the_witness_is_the_nearest_task(history: History) -> None:
    items = [item for name in history.outcomes for item in history.items(name)]
    told = [item for item in items if item.reason is Reason.NOT_NOVEL]
    assert told
    for item in told:
        assert isinstance(item, CandidateResult)
        assert item.witness == item.nearest


def test_a_task_has_its_whole_history(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=Refusing(talkative_text))
    history = history_of(tmp_path / "run")
    (second,) = explain(history, "task_000002").found
    assert isinstance(second, TaskResult)
    assert [item.reason for item in second.rejected] == ["empty_output", "output_equals_input"]
    assert [given.answer for given in second.answers] == ["no"]
    assert len(second.demonstrations) == 8
    (third,) = explain(history, "task_000003").found
    assert isinstance(third, TaskResult)
    assert third.instances == ()
    (refused,) = explain(history, "instances/task_000003").found
    assert isinstance(refused, RequestResult)
    assert "status 422: not this one" in refused.problem
    (fourth,) = explain(history, "task_000004").found
    assert isinstance(fourth, TaskResult)
    assert [(given.request_id, given.answer) for given in fourth.answers] == [
        ("classify/task_000004", "unclear"),
        ("classify/task_000004/again", "unclear"),
    ]
    assert fourth.is_classification is False


def test_a_seed_task_shows_its_role(history: History) -> None:
    for task in list(history.run.state.pool)[:10]:
        result = history.by_id(task.id)
        assert isinstance(result, TaskResult)
        shown = [reply for reply in replies(history) if task.id in reply.demonstration_ids]
        assert result.shown == len(shown)
    results = [history.task(task) for task in history.run.state.pool]
    against = sum(
        result.witness_against
        for result in results
        if isinstance(result, TaskResult) and result.kind == "seed task"
    )
    named = [result.witness for result in candidates(history) if result.witness is not None]
    assert against == sum(near.task_id.startswith("seed") for near in named) > 0


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert MEANING[reason].endswith(".")
    assert MEANING[reason][0].isupper()


# ── what is not there ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "Explain why a kettle whistles when its water boils.",
        "Name rivers.",
        "Draw a map of the way to https://example.org for me.",
        "¡!",
        "Write a program that sorts a list of numbers.",
        "Расскажи мне, почему чайник свистит, когда кипит вода.",
        "Explain how a amber and a feather affect beach 0.",
    ],
)
def test_an_unknown_text_is_decided_like_a_candidate(history: History, text: str) -> None:
    explanation = explain(history, text)
    assert (explanation.how, explanation.total, explanation.found) == ("none", 0, ())
    assert explanation.as_candidate is not None
    state, config = history.run.state, history.run.config
    number = state.commits + 1
    shown = tuple(task.id for task in list(state.pool)[:8])
    decided = commit(
        state,
        config,
        CompletionReceived(
            request_id=generation_id(number),
            stage="generate",
            template="",
            prompt_sha256="",
            demonstration_ids=shown,
            completion=Completion(text=f"9. {text}\n10. {text}", finish_reason="stop", model="m"),
        ),
    )
    first = next((r.reason for r in decided.rejected if r.candidate_id.endswith("#1")), None)
    assert first == (
        explanation.as_candidate.reasons[0] if explanation.as_candidate.reasons else None
    )


@pytest.mark.parametrize(
    "query",
    [
        "task_000999",
        "Task_999",
        "generate/999",
        "generate/000001 # 99",
        "instances/x",
        "seed_task_999",
        "SEED_TASK_999",
    ],
)
def test_an_unknown_id_is_not_searched_as_text(history: History, query: str) -> None:
    explanation = explain(history, query)
    assert explanation.total == 0
    assert explanation.as_candidate is None
    assert "The run has task_000001 to task_0000" in explanation.note
    assert "the seed tasks seed_task_0 to seed_task_9" in explanation.note


def test_seed_task_ids_have_any_form(tmp_path: Path, config: RunConfig) -> None:
    seeds = [replace(make_seed_task(n), id=f"Mine-{n}") for n in range(10)]
    (tmp_path / "own.jsonl").write_bytes(render_seed_tasks(seeds))
    changed = replace(config, seed_tasks=tmp_path / "own.jsonl", num_instructions=1)
    run(tmp_path / "run", changed, backend=ScriptedBackend())
    history = history_of(tmp_path / "run")
    assert explain(history, "mine-3").found == (history.by_id("Mine-3"),)
    assert explain(history, "mine").as_candidate is not None


@pytest.mark.parametrize("query", ["", " \n\t\u2003"])
def test_an_empty_query_is_rejected(history: History, query: str) -> None:
    with pytest.raises(ValueError, match="the query is empty"):
        explain(history, query)


@pytest.mark.parametrize(
    "query", ["\x00", "\udc80", "ß" * 999, "(", "\\", "#", "generate/", "/", "ﷺ"]
)
def test_odd_queries_do_no_harm(history: History, query: str) -> None:
    assert isinstance(explain(history, query), Explanation)


def test_a_run_without_replies_can_be_searched(tmp_path: Path, config: RunConfig) -> None:
    from selfinstruct.runner.directory import open_run

    with open_run(tmp_path / "run", config):
        pass
    history = history_of(tmp_path / "run")
    assert explain(history, "seed_task_3").total == 1
    assert explain(history, "task_000001").note.endswith("and has not decided any reply yet.")
    assert explain(history, "Name four trees of the north.").as_candidate is not None
