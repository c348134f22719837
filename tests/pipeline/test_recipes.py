"""What every recipe has, and how its stages lead from an accepted task to a final one."""

from dataclasses import replace

import pytest
from support import make_completion, make_seed_task

from selfinstruct.config.recipe_defaults import RECIPE_DEFAULTS
from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import CompletionReceived
from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.prompts import TEMPLATE_NAMES, template_names
from selfinstruct.pipeline.recipes import RECIPES, recipe_of
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import InstancesStage, Recipe
from selfinstruct.pipeline.state import initial
from selfinstruct.records import Task

EACH_RECIPE = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
EACH_PROFILE = pytest.mark.parametrize("profile", PROFILES)
TASK = Task(id="task_000001", instruction="Name a river.", origin="generated")


def test_every_recipe_has_default_settings() -> None:
    assert list(RECIPES) == list(RECIPE_DEFAULTS)
    assert len({frozenset(defaults) for defaults in RECIPE_DEFAULTS.values()}) == 1
    for name in RECIPES:
        assert recipe_of(RunConfig(model="m", recipe=name)).name == name


@EACH_RECIPE
@EACH_PROFILE
def test_every_stage_has_templates_and_a_parser(recipe: Recipe, profile: str) -> None:
    config = RunConfig(model="m", recipe=recipe.name, profile=profile)
    assert recipe.rules[profile]
    for stage in recipe.stages:
        assert stage.parsers[profile]
        assert set(stage.template_names(config)) <= set(stage.templates)
        assert list(stage.reply_tokens) == sorted(stage.reply_tokens)
    assert set(template_names(config)) <= TEMPLATE_NAMES
    assert len({stage.name for stage in recipe.stages}) == len(recipe.stages)


@EACH_RECIPE
def test_only_base_models_get_stop_sequences(recipe: Recipe) -> None:
    chat = RunConfig(model="m", recipe=recipe.name)
    for stage in recipe.stages:
        assert stage.sampling(chat).stop == ()
        assert all(stage.sampling(chat.changed(api="completions")).stop)


@EACH_RECIPE
@EACH_PROFILE
def test_each_stage_settles_one_field(recipe: Recipe, profile: str) -> None:
    """Without later stages, the last stage leaves a final task."""
    config = RunConfig(model="m", recipe=recipe.name, profile=profile)
    state, tasks = initial(config, ()), [TASK]
    for stage in recipe.task_stages:
        for task in tasks:
            assert recipe.next_stage(task) is stage
            request_id, template = stage.next_request(state, task)
            assert request_id == stage.request_ids(task.id)[0]
            assert template in stage.template_names(config)
        tasks = [after for task in tasks for after in stage.after(task)]
    assert all(task.is_final for task in tasks) == recipe.asks_about_tasks


@EACH_RECIPE
def test_demonstrations_show_whole_tasks_or_ask_later(recipe: Recipe) -> None:
    """A task that no request completes must come whole, so its demonstrations show an instance."""
    assert recipe.asks_about_tasks or recipe.generate.needs_instances


def test_a_stage_may_use_one_template() -> None:
    config = RunConfig(model="m")
    both = SELF_INSTRUCT.stage(InstancesStage)
    stage = replace(both, templates=("any.txt", "any.txt"))
    assert stage.template_names(config) == ("any.txt",)
    state = initial(config, [make_seed_task(1)])
    outcome = CompletionReceived(
        request_id="instances/seed_task_1",
        stage="instances",
        template="mine/any.txt@0123",
        prompt_sha256="",
        demonstration_ids=(),
        completion=make_completion(
            "Class label: good\nInput: Fine.\nClass label: bad\nInput: Poor."
        ),
    )
    labels = replace(outcome, template="mine/instances_output_first.txt@0123")
    assert both.decide(state, config, labels).instances
    assert stage.decide(state, config, outcome) == both.decide(state, config, outcome)
