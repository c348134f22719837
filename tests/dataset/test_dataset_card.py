"""Dataset cards state true facts, list missing information, and cannot be broken by untrusted text."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from support import FaultyBackend, ScriptedBackend, alpaca_text, make_completion, scripted_text

from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.api import import_run, run
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.dataset_card.card_checksum import is_sealed
from selfinstruct.dataset.dataset_card.card_inputs import Exported, Terms
from selfinstruct.dataset.dataset_card.facts import Facts, facts_of
from selfinstruct.dataset.dataset_card.front_matter import LICENSES, license_entries, size_category
from selfinstruct.dataset.dataset_card.rendering import Card, card_of
from selfinstruct.dataset.export.writing import Part
from selfinstruct.dataset.rows import PROVENANCE_COLUMNS, provenance_rows
from selfinstruct.journal_events import ImportedFile, RefilteredFrom
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import Run, read_run

ALPACA = ("instruction", "input", "output")
NOTHING = Terms(license=None, model_terms=None, languages=())
ALL = Terms(
    license="cc-by-4.0",
    model_terms="Output may be used freely: https://example.org/terms_of_use.",
    languages=("en",),
    source_license="CC0, collected from our own help pages.",
)


def part(file: str, *, split: str = "train", rows: int = 1, instructions: int = 1) -> Part:
    return Part(path=Path(file), name=split, rows=rows, instructions=instructions)


def card(run: Run, data: Exported, terms: Terms) -> Card:
    return card_of(facts_of(run), data, terms)


def exported(**changes: Any) -> Exported:
    fields: dict[str, Any] = {
        "format": "alpaca",
        "container": "json",
        "columns": ALPACA,
        "files": (part("alpaca_data.json", split="train", rows=1234, instructions=700),),
        "options": {},
        "benchmarks": None,
    }
    return Exported(**(fields | changes))


def yaml_of(text: str) -> Mapping[str, Any]:
    """Return the front matter. Checks that huggingface_hub and `datasets` read the same front matter."""
    pattern = r"^(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))"
    by_hub = re.search(pattern, text)
    assert by_hub is not None
    lines = text.splitlines()
    assert lines[0] == "---"
    by_datasets = "\n".join(lines[1 : lines.index("---", 1)])
    entries = yaml.safe_load(by_datasets)
    assert yaml.safe_load(by_hub[2]) == entries
    assert isinstance(entries, dict)
    return entries


def tokens(text: str) -> list[Token]:
    """Return the card's Markdown tokens, parsed as the Hub parses them."""
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    flat = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(body):
        flat += [token, *(token.children or ())]
    return flat


def table_rows(text: str) -> Iterator[list[str]]:
    """Yield each table row as a list of its cells."""
    row: list[str] = []
    for token in tokens(text):
        if token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(token.content)
        elif token.type == "tr_close":
            yield row


def number_of(text: str, name: str) -> int:
    [found] = [row[1] for row in table_rows(text) if row[0] == name]
    return int(found.replace(",", ""))


class Named(ScriptedBackend):
    """A backend whose replies come from one of two models."""

    names = ("scripted-2026", "scripted-2025")

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        return replace(completion, model=self.names[sum(map(ord, request.id)) % 2])


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run with 25 instructions and the packaged seed tasks."""
    place = tmp_path_factory.mktemp("card") / "secret-project"
    run(place, RunConfig(model="scripted", num_instructions=25), backend=FaultyBackend())
    return place


@pytest.fixture(scope="module")
def opened(directory: Path) -> Run:
    return read_run(directory)


@pytest.fixture(scope="module")
def facts(opened: Run) -> Facts:
    return facts_of(opened)


# ── the front matter ─────────────────────────────────────────────────────────────────────────────────────


def test_front_matter_has_the_fields_of_the_hub(opened: Run) -> None:
    parts = (
        part("data/a.train.jsonl", split="train", rows=1900, instructions=950),
        part("data/a.test.jsonl", split="test", rows=100, instructions=50),
    )
    text = card(opened, exported(container="jsonl", files=parts), ALL).text
    assert yaml_of(text) == {
        "license": "cc-by-4.0",
        "language": ["en"],
        "pretty_name": "Self-Instruct data by scripted",
        "tags": ["synthetic", "self-instruct", "instruction-tuning"],
        "task_categories": ["text-generation"],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "size_categories": ["1K<n<10K"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "a.train.jsonl"},
                    {"split": "test", "path": "a.test.jsonl"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    "given_", ["apache-2.0", "Apache-2.0", "Apache 2.0", " CC-BY-4.0 ", "openrail++"]
)
def test_a_known_licence_becomes_its_id(given_: str) -> None:
    [(key, id_)] = license_entries(given_).items()
    assert key == "license"
    assert id_ in LICENSES


@pytest.mark.parametrize(
    ("given_", "name", "link"),
    [
        ("Our Data Licence 1.2", "our-data-licence-1.2", "LICENSE"),
        ("Our Licence https://example.org/l.txt", "our-licence", "https://example.org/l.txt"),
        ("https://example.org/l.txt", "other", "https://example.org/l.txt"),
        ("ライセンス", "other", "LICENSE"),
    ],
)
def test_an_unknown_licence_becomes_other(given_: str, name: str, link: str) -> None:
    expected = {"license": "other", "license_name": name, "license_link": link}
    assert license_entries(given_) == expected


@pytest.mark.parametrize("given_", [None, "", " \n"])
def test_a_missing_licence_is_not_claimed(opened: Run, given_: str | None) -> None:
    made = card(opened, exported(), replace(ALL, license=given_))
    assert not any(key.startswith("license") for key in yaml_of(made.text))
    assert "**This dataset:** MISSING" in made.text


def test_size_classes_of_the_hub() -> None:
    sizes = [size_category(rows) for rows in (0, 999, 1000, 9_999, 10_000, 52_002, 10**6, 10**12)]
    assert sizes == [
        *("n<1K", "n<1K", "1K<n<10K", "1K<n<10K", "10K<n<100K", "10K<n<100K", "1M<n<10M", "n>1T")
    ]


def test_json_lists_column_types(opened: Run) -> None:
    typed = exported(columns=PROVENANCE_COLUMNS, container="jsonl")
    features = yaml_of(card(opened, typed, NOTHING).text)["dataset_info"]["features"]
    assert [column["name"] for column in features] == [*PROVENANCE_COLUMNS]
    assert {"name": "ordinal", "dtype": "int64"} in features
    assert {"name": "demonstration_ids", "sequence": "string"} in features
    in_columns = exported(columns=PROVENANCE_COLUMNS, container="parquet")
    assert "dataset_info" not in yaml_of(card(opened, in_columns, NOTHING).text)


def test_a_datasets_folder_has_no_configs(opened: Run) -> None:
    parts = tuple(
        part("alpaca", split=split, rows=9, instructions=9) for split in ("train", "test")
    )
    text = card(opened, exported(format="datasets", container="datasets", files=parts), ALL).text
    assert "configs" not in yaml_of(text)
    assert 'load_from_disk("alpaca")' in text


def test_a_file_name_is_no_pattern(opened: Run) -> None:
    file = part("my*data[1].json", split="train", rows=1, instructions=1)
    text = card(opened, exported(files=(file,)), ALL).text
    [config] = yaml_of(text)["configs"]
    assert config["data_files"] == [{"split": "train", "path": "my[*]data[[]1].json"}]


def test_the_language_no_is_a_language(opened: Run) -> None:
    text = card(opened, exported(), replace(ALL, languages=("no", "en"))).text
    assert yaml_of(text)["language"] == ["no", "en"]


# ── missing information ─────────────────────────────────────────────────────────────────────────────────────


def test_missing_information_is_listed(opened: Run) -> None:
    made = card(opened, exported(), NOTHING)
    options = [re.findall(r"--[a-z-]+", sentence) for sentence in made.missing]
    assert options == [["--license"], ["--model-terms"], ["--language"]]
    assert "**MISSING: this card is not complete.**" in made.text
    assert made.text.count("MISSING") == 3
    for sentence in made.missing:
        assert sentence in made.text


def test_with_all_terms_nothing_is_missing(opened: Run) -> None:
    made = card(opened, exported(), ALL)
    assert made.missing == ()
    assert "MISSING" not in made.text
    assert "Output may be used freely: <https://example.org/terms_of_use>." in made.text


def test_shipped_seed_tasks_have_a_licence(opened: Run) -> None:
    text = card(opened, exported(), ALL).text
    assert "175, shipped with selfinstruct" in text
    assert "They were written for selfinstruct" in text
    assert "Apache licence 2.0" in text
    assert "help pages" not in text


def test_own_seed_tasks_need_a_licence(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    own = read_run(tmp_path / "run")
    made = card(own, exported(), replace(ALL, source_license=None))
    [sentence] = made.missing
    assert sentence.startswith("the licence of the seed tasks, which did not come")
    assert "For the seed tasks, which did not come with selfinstruct: MISSING" in made.text
    assert "Apache licence" not in made.text
    assert "CC0, collected from our own help pages." in card(own, exported(), ALL).text


def test_a_copy_of_shipped_seed_tasks_is_recognized(
    tmp_path: Path,
) -> None:
    from selfinstruct.config.shipped_files import resource

    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(resource("seed_tasks.jsonl").read_bytes())
    config = RunConfig(model="scripted", num_instructions=2, seed_tasks=copy)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    assert facts_of(read_run(tmp_path / "run")).own_material == []


def test_own_templates_are_recognized(tmp_path: Path) -> None:
    from selfinstruct.config.shipped_files import resource

    folder = tmp_path / "prompts"
    folder.mkdir()
    for file in (resource("prompts") / "self-instruct").iterdir():
        more = "\nBe brief." if file.name == "generate.txt" else ""
        (folder / file.name).write_text(file.read_text() + more)
    config = RunConfig(model="scripted", num_instructions=2, prompts=folder)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    made = facts_of(read_run(tmp_path / "run"))
    assert made.own_material == ["the templates of the prompts"]
    own = [template.name for template in made.templates if not template.is_packaged]
    assert [name.partition("@")[0] for name in own] == ["self-instruct/generate.txt"]
    text = card_of(made, exported(), ALL).text
    assert "The seed tasks were written for selfinstruct" in text


def test_imported_data_claims_no_method(tmp_path: Path, seeds_file: Path) -> None:
    (tmp_path / "regen.json").write_text(
        json.dumps([{"instruction": f"Do {n}.", "input": "", "output": "Done."} for n in range(5)])
    )
    import_run(tmp_path / "run", [tmp_path / "regen.json"], {"seed_tasks": seeds_file})
    text = card(read_run(tmp_path / "run"), exported(), ALL).text
    assert "5 instructions were imported from files unchanged" in text
    assert yaml_of(text)["pretty_name"] == "Imported instruction data"
    assert yaml_of(text)["tags"] == ["instruction-tuning"]
    assert "language_creators" not in yaml_of(text)
    for claim in (
        "which has three stages",
        "seed tasks set the range",
        "| Novelty |",
        "| Prompts |",
        "temperature",
    ):
        assert claim not in text
    config = {"model": "scripted", "num_instructions": 12}
    run(tmp_path / "run", config, backend=ScriptedBackend())
    grown = read_run(tmp_path / "run")
    text = card(grown, exported(), ALL).text
    assert f"The other {summarize(grown.state).grown} were generated as follows" in text
    assert "which has three stages" in text


def test_imported_tasks_need_a_licence(facts: Facts) -> None:
    file = ImportedFile(
        name="regen.json", sha256="ab" * 32, form="rows", records=9, tasks=7, profile="default"
    )
    summary = replace(facts.summary, imported=7)
    imported = replace(with_state(facts, imports=[file]), summary=summary)
    made = card_of(imported, exported(), replace(ALL, source_license=None))
    text, [missing] = made.text, made.missing
    assert "the imported tasks" in missing
    assert f"| Imported | 7 tasks from 9 records in `regen.json`; SHA-256 `{'ab' * 32}` |" in text
    assert number_of(text, "imported") == 7
    assert yaml_of(text)["source_datasets"] == ["extended"]


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────


def assert_numbers_agree(text: str, summary: RunSummary) -> None:
    answered = sum(summary.requests.values()) - sum(summary.failed.values())
    assert number_of(text, "requests answered") == answered
    if summary.failed:
        assert number_of(text, "requests without a reply") == sum(summary.failed.values())
    assert number_of(text, "candidates") == summary.candidates
    for reason, count in summary.rejected.items():
        assert number_of(text, f"rejected: `{reason}`") == count
    for reason, count in summary.instances_rejected.items():
        assert number_of(text, f"instance rejected: `{reason}`") == count
    assert number_of(text, "accepted") == summary.grown
    assert number_of(text, "with instances") == summary.with_instances
    assert number_of(text, "rows") == summary.rows
    rejected = [row for row in table_rows(text) if row[0].startswith("rejected: ")]
    assert sum(int(row[1]) for row in rejected) == summary.candidates - summary.grown


@pytest.mark.parametrize("profile", ["default", "paper"])
@pytest.mark.parametrize("recipe", ["self-instruct", "alpaca"])
def test_every_number_equals_status(
    tmp_path: Path, seeds_file: Path, recipe: str, profile: str
) -> None:
    config = RunConfig(
        model="scripted",
        num_instructions=25,
        seed_tasks=seeds_file,
        recipe=recipe,
        profile=profile,
    )
    write = scripted_text if recipe == "self-instruct" else alpaca_text
    run(tmp_path / "run", config, backend=FaultyBackend(write))
    made = read_run(tmp_path / "run")
    text = card(made, exported(), ALL).text
    assert_numbers_agree(text, summarize(made.state))
    for reason, _ in RECIPES[recipe].rules[profile]:
        assert f"| rejected: `{reason}` |" in text or f"`{reason}` (" in text
    assert ("taori2023alpaca" in text) == (recipe == "alpaca")
    assert "wang2023selfinstruct" in text
    assert ("which has three stages" in text) == (recipe == "self-instruct")
    assert yaml_of(text)["tags"][1] == recipe


def test_a_refiltered_run_names_the_earlier_settings(tmp_path: Path, directory: Path) -> None:
    refilter_run(directory, tmp_path / "again", {"threshold": 0.5})
    made = read_run(tmp_path / "again")
    text = card(made, exported(), ALL).text
    assert_numbers_agree(text, summarize(made.state))
    [settings] = [row[1] for row in table_rows(text) if row[0] == "Decided again"]
    assert "threshold `0.7`" in settings
    assert "ROUGE-L of more than 0.5" in text
    assert "secret-project" not in text


def test_models_have_the_names_of_the_server(tmp_path: Path) -> None:
    config = RunConfig(model="scripted", num_instructions=12)
    run(tmp_path / "run", config, backend=Named())
    made = facts_of(read_run(tmp_path / "run"))
    assert sum(count for _, count in made.models) == made.summary.accepted
    text = card_of(made, exported(), ALL).text
    rows = {row[0]: row[1] for row in table_rows(text)}
    assert rows["Requested model"] == "`scripted`"
    for name, count in made.models:
        assert f"`{name}`: {count} instruction" in rows["Model, as named by the server"]
    assert made.title.endswith(" and 1 more")


def test_a_card_has_no_private_facts(tmp_path: Path) -> None:
    class Local(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            self.asked.append(request.id)
            return make_completion(scripted_text(request), model="/home/zoltan/models/tiny.gguf")

    config = RunConfig(
        model="/home/zoltan/models/tiny.gguf",
        num_instructions=3,
        base_url="http://10.1.2.3:8000/v1",
        price_input=1.0,
        price_output=1.0,
        extra_body={"reasoning_effort": "low", "top_k": 40, "api_key": "sk-1", "x": {"y": 1}},
    )
    run(tmp_path / "secret-project", config, backend=Local())
    text = card(
        read_run(tmp_path / "secret-project"),
        exported(benchmarks={"/home/zoltan/mmlu.jsonl": 3, "C:\\data\\hella.jsonl": 0}),
        ALL,
    ).text
    for hidden in ("zoltan", "10.1.2.3", "secret-project", str(tmp_path), "sk-1", "$", "C:"):
        assert hidden not in text
    assert not re.search(r"\b\d\d:\d\d|202\d-", text)  # A hash may begin with digits.
    assert "`tiny.gguf`" in text
    assert '`reasoning_effort: "low"`, `top_k: 40`, `api_key`, `x`' in text
    assert number_of(text, "`mmlu.jsonl`") == 3
    assert number_of(text, "`hella.jsonl`") == 0


def test_the_same_run_gives_the_same_bytes(directory: Path, opened: Run) -> None:
    assert card(read_run(directory), exported(), ALL) == card(opened, exported(), ALL)


def test_export_options_are_listed(opened: Run) -> None:
    options = {"limit": "1000", "system": "You are\nhelpful | kind."}
    text = card(
        opened, exported(options=options, files=(replace(part("x"), seed_rows=175),)), ALL
    ).text
    rows = {row[0]: row[1] for row in table_rows(text) if len(row) == 2}
    assert rows["`limit`"] == "1000"
    assert rows["`system`"] == "You are helpful &#124; kind."
    assert "175 rows are seed tasks." in text
    assert "was not compared with any benchmark" in text


def test_the_paper_gives_the_only_score(opened: Run) -> None:
    text = card(opened, exported(), ALL).text
    assert "**The data has not been evaluated.**" in text
    assert "**54 % were valid in all three** ([Wang et al., 2022]" in text


def test_examples_are_rows_of_the_data(opened: Run) -> None:
    data = [{name: row[name] for name in ALPACA} for row in provenance_rows(opened.state.pool)]
    text = card(opened, exported(examples=data), ALL).text
    blocks = [token.content for token in tokens(text) if token.info == "text"]
    assert len(blocks) == 2
    shown = [block.replace("\n  ", " ").replace("\n", " ").split() for block in blocks]
    rows = [
        f"instruction {row['instruction']} input {row['input'] or '(empty)'} output {row['output']}"
        for row in data
    ]
    for words in shown:
        assert words in [row.split() for row in rows]


def test_nested_examples_are_shown(facts: Facts) -> None:
    chat = {"messages": [{"role": "user", "content": "Hello\n\nthere" + "." * 500}], "n": None}
    text = card_of(facts, exported(examples=[chat]), ALL).text
    [block] = [token.content for token in tokens(text) if token.info == "text"]
    assert block.startswith("messages.0.role\n  user\nmessages.0.content\n  Hello\n")
    assert "(112 more characters)" in block
    assert block.endswith("n\n  null\n")


def test_only_exported_rows_are_examples(opened: Run) -> None:
    text = card(opened, exported(benchmarks={"mmlu.jsonl": 1}), ALL).text
    assert not [token for token in tokens(text) if token.info == "text"]


def test_every_column_has_a_meaning(opened: Run) -> None:
    text = card(opened, exported(columns=PROVENANCE_COLUMNS), ALL).text
    meaning = {row[0]: row[1] for row in table_rows(text) if len(row) == 2}
    assert all(meaning[f"`{name}`"] for name in PROVENANCE_COLUMNS)


# ── hostile names and texts ──────────────────────────────────────────────────────────────────────────────

NASTY = st.text(
    st.sampled_from(
        [*"`|<>*_[]()&\\#-~$:!'\"{}@= \n\r\t\v\f\x1b\x00\x85\u2028\u202e\u200b\ufeffaé界"]
    ),
    min_size=1,
    max_size=40,
) | st.sampled_from(
    [
        "\n---\nlicense: mit\n---\n",
        "--- \n",
        "```\n# heading\n```",
        "````",
        "<script>alert(1)</script>",
        "<!-- written by selfinstruct; sha256:" + "0" * 64 + " -->",
        "-->",
        "x | y | z |\n| --- |",
        "[click](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        "{{ facts }} {% raw %}",
        "yes: [1, {a: b}] # no",
        "\n\n# heading\n\n- item",
        "a`b|c\\|d",
        "&lt;b&gt; &#96;",
    ]
)


@given(name=NASTY, other=NASTY, said=NASTY, split=st.sampled_from(["train", "test"]))
def test_no_text_breaks_a_card(facts: Facts, name: str, other: str, said: str, split: str) -> None:
    row = {"instruction": said, name: other, "output": [name, {"x": said}]}
    given_ = exported(
        files=(part(name, split=split, rows=1, instructions=1),),
        columns=("instruction", other),
        options={name: said, "limit": other},
        benchmarks={other: 2},
        examples=[row],
    )
    terms = Terms(license=said, model_terms=other, languages=(name,), source_license=said)
    hostile = with_names(facts, name, other, said)
    usual = with_names(facts, "n", "o", "s")
    text = card_of(hostile, given_, terms).text
    entries = yaml_of(text)
    assert entries["language"] == [name]
    pattern = entries["configs"][0]["data_files"][0]["path"]
    assert re.sub(r"\[([*?[])\]", r"\1", pattern) == Path(name).name or "[" in name
    # If the Hub does not know the licence, the licence text counts as missing information.
    lacks_text = license_entries(said).get("license_link") == "LICENSE"
    plain_terms = Terms(
        license=("x" if lacks_text else "mit") if said.strip() else None,
        model_terms="x" if other.strip() else None,
        languages=("en",),
        source_license="x" if said.strip() else None,
    )
    expected = card_of(
        usual,
        exported(
            files=(part("f", split=split, rows=1, instructions=1),),
            columns=("instruction", "c"),
            options={"x": "y", "limit": "z"},
            benchmarks={"b": 2},
            examples=[{"x": "y"}],
        ),
        plain_terms,
    ).text
    assert structure(text) == structure(expected)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u202e\u200b\ufeff]", body_of(text))
    assert is_sealed(text)


def with_state(facts: Facts, **changes: Any) -> Facts:
    return replace(facts, run=replace(facts.run, state=replace(facts.run.state, **changes)))


def with_names(facts: Facts, name: str, other: str, said: str) -> Facts:
    """Return `facts` with every name replaced that other people can choose."""
    imported = ImportedFile(
        name=other, sha256="ab", form="rows", records=1, tasks=1, profile="default"
    )
    source = RefilteredFrom(
        source=name,
        fingerprint=other,
        journal_lines=1,
        journal_sha256="ab",
        versions={},
        settings={"threshold": said},
    )
    return replace(
        with_state(facts, imports=[imported], source=source, programs=[name]),
        models=[(name, 20), ("m", 5)],
        asked_for=other,
        extra=[said],
        seeds=replace(facts.seeds, is_packaged=False),
        templates=[replace(facts.templates[0], name=said)],
    )


def body_of(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


_INLINE = {"code_inline", "text", "html_inline", "link_open", "link_close", "softbreak", "inline"}


def structure(text: str) -> list[tuple[str, str]]:
    """Return the type and info of each Markdown token, except text, code and links."""
    found = []
    for token in tokens(text):
        if token.type == "html_inline":
            assert token.content in {"<code>", "</code>"}
        elif token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("https://", "http://", "#"))
        elif token.type not in _INLINE:
            found.append((token.type, token.info))
    return found


# ── edited cards ──────────────────────────────────────────────────────────────────────────


def test_an_unedited_card_may_be_replaced(opened: Run) -> None:
    text = card(opened, exported(), NOTHING).text
    assert is_sealed(text)
    assert text.splitlines()[-1].startswith("<!-- written by selfinstruct; sha256:")


@given(st.data())
def test_an_edited_card_may_not_be_replaced(made: Card, data: st.DataObject) -> None:
    text = made.text
    place = data.draw(st.integers(0, len(text)))
    changed = data.draw(
        st.sampled_from(
            [
                text[:place] + "x" + text[place:],
                text[:place] + text[place + 1 :] + " ",
                text[:place],
                text + "More.\n",
                text + text,
            ]
        )
    )
    assert changed == text or not is_sealed(changed)


@pytest.fixture(scope="module")
def made(opened: Run) -> Card:
    return card(opened, exported(), NOTHING)


@pytest.mark.parametrize("text", ["", "# My data\n", "<!-- written by selfinstruct -->\n"])
def test_another_file_may_not_be_replaced(text: str) -> None:
    assert not is_sealed(text)
