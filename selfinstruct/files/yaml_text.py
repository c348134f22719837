"""Read YAML that a user has written: settings and fault plans.

>>> parse_yaml("[1, two]")
[1, 'two']
"""

from collections import Counter
from pathlib import Path
from typing import Any

from selfinstruct.errors import InputError
from selfinstruct.files import Opener, because

_MAX_CHARACTERS = 100_000
_REMEDY = (
    "quote values with special characters such as : or @, close quotes and brackets, "
    "and indent with spaces"
)


class YamlError(ValueError):
    """A text is not valid YAML, or a file cannot be YAML. `line` counts from 1; None if it is unknown."""

    def __init__(self, problem: str, *, line: int | None = None) -> None:
        self.line = line
        super().__init__(problem)


def read_yaml_input(path: Path) -> Any:
    """Return the content of a YAML file that the user specified.

    Raises InputError if the file cannot be read or is not valid YAML.
    """
    try:
        return read_yaml(path)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except YamlError as error:
        raise InputError(path, str(error), line=error.line) from None


def read_yaml(path: Path, *, opener: Opener | None = None) -> Any:
    """Return the content of a YAML file of at most 100,000 characters.

    Raises OSError if the file cannot be read, and YamlError if it is too long or not valid YAML.
    """
    try:
        with open(path, encoding="utf-8", opener=opener) as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise YamlError("is not UTF-8 text; save it as UTF-8") from None
    if len(text) > _MAX_CHARACTERS:
        problem = f"is longer than {_MAX_CHARACTERS:,} characters; choose another file"
        raise YamlError(problem)
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Parse YAML and return its content. Raises YamlError if the text is not valid YAML.

    Aliases to mappings and lists are refused, because with them a short text could expand to gigabytes.
    PyYAML's C loader is faster but is not used, because it crashes on deep nesting.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """A loader that refuses duplicate keys. PyYAML's own loader would silently use the last one."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            is_alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            if is_alias and not isinstance(node, yaml.ScalarNode):
                problem = "an alias (*) can only repeat a single value; write the values out"
                raise YamlError(f"is not YAML: {problem}", line=mark.line + 1)
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            keys = [key for key, _ in node.value if isinstance(key.value, str)]
            counts = Counter(key.value for key in keys)
            for key in keys:
                if counts[key.value] > 1:
                    problem = f"{key.value} is given twice; keep one of the lines"
                    raise YamlError(f"is not YAML: {problem}", line=key.start_mark.line + 1)
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a subclass of SafeLoader
    except YamlError:
        raise
    except RecursionError:
        raise YamlError("is nested too deeply; write fewer levels") from None
    # PyYAML can raise any of these exceptions when a value does not fit its tag, such as !!timestamp.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"contains a number or a date that cannot be read ({error}); put it in quotes"
        raise YamlError(problem) from None
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        problem = f"the character U+{code:04X} is not allowed; delete it"
        raise YamlError(f"is not YAML: {problem}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        remedy = "keep one of them" if "another document" in str(error.problem) else _REMEDY
        raise YamlError(f"is not YAML: {error.problem}; {remedy}", line=line) from None
