"""Validates the events in a run's journal."""

from functools import cache
from typing import TYPE_CHECKING, Annotated

from selfinstruct.config.reading import load_settings
from selfinstruct.config.schema import OPERATIONAL
from selfinstruct.errors import ConfigError
from selfinstruct.journal_events import Event, RunStarted
from selfinstruct.runner.journal_line import UnknownLineError

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def run_events() -> "TypeAdapter[Event]":
    """Return the pydantic adapter for events.

    Its validation raises UnknownLineError if a `RunStarted` event has settings that cannot be started with.
    """
    from pydantic import AfterValidator, Field, TypeAdapter

    return TypeAdapter(
        Annotated[Event, Field(discriminator="kind"), AfterValidator(_require_settings)]
    )


def _require_settings(event: Event) -> Event:
    """Return the event. Raises UnknownLineError if no process can have started with its settings."""
    if not isinstance(event, RunStarted):
        return event
    for name in event.settings:
        if name not in OPERATIONAL:
            raise UnknownLineError(
                f"sets {name[:40]!r}, which cannot be changed after the run is created"
            )
    try:
        usable = load_settings("", event.settings)
    except ConfigError as error:
        raise UnknownLineError(f"has a setting that cannot be used ({error})") from None
    for name, value in event.settings.items():
        if value != usable[name]:
            raise UnknownLineError(f"has a setting that is not in its standard form ({name})")
    return event
