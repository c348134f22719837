"""What the program chooses or writes in the language of a run.

Parsers read the words of all languages that they know, whatever the language of the run is.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The shipped files of a language, and the labels in its templates, which stop texts repeat."""

    prompts: str
    """Shipped folder with a folder of templates for each recipe."""
    seed_tasks: str
    """Shipped file of seed tasks."""
    task: str
    example: str


ENGLISH = Language(
    prompts="prompts",
    seed_tasks="seed_tasks.jsonl",
    task="Task",
    example="Example",
)
