"""Read YAML that a user has written: settings, and plans of faults.

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
    """A text is not YAML, or a file cannot contain YAML. `line` counts from 1."""

    def __init__(self, problem: str, *, line: int | None = None) -> None:
        self.line = line
        super().__init__(problem)


def read_yaml_input(path: Path) -> Any:
    """Return the content of a YAML file that a user names. Raises InputError."""
    try:
        return read_yaml(path)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except YamlError as error:
        raise InputError(path, str(error), line=error.line) from None


def read_yaml(path: Path, *, opener: Opener | None = None) -> Any:
    """Return the content of a short YAML file. Raises OSError, YamlError."""
    try:
        with open(path, encoding="utf-8", opener=opener) as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise YamlError("is not UTF-8 text; save it as UTF-8") from None
    if len(text) > _MAX_CHARACTERS:
        problem = f"is longer than {_MAX_CHARACTERS:,} characters; name another file"
        raise YamlError(problem)
    return parse_yaml(text)


def parse_yaml(text: str) -> Any:
    """Parse YAML. Raises YamlError.

    Aliases of mappings and lists are refused: a short text could expand to gigabytes. The loader in C is
    faster, but crashes on deep nesting.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses duplicate keys; YAML would silently use the last one."""

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
    # PyYAML lets many exceptions escape when a tag such as !!timestamp does not fit its value.
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
