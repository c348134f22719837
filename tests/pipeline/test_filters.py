"""Test the rules for instructions: each rule rejects what it should, and nothing else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from selfinstruct.pipeline.filters import is_in_wrong_script, rejection_reason, scripts_of
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.seed_tasks import read_seed_tasks
from selfinstruct.records import Reason

RULES = {
    (profile, recipe.name): rules
    for recipe in RECIPES.values()
    for profile, rules in recipe.rules.items()
}
DEFAULT = RULES["default", "self-instruct"]
PAPER = RULES["paper", "self-instruct"]

NOT_TEXT = [
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
]
NOT_TEXT += ["draw", "plot", "go to"]
NOT_TEXT_ALPACA = ["video", "audio", "music", "flowchart", "diagram"]


# ── profile "default" ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("", Reason.EMPTY),
        ("  \n", Reason.EMPTY),
        ("?!…", Reason.NO_WORDS),
        ("Name a river.", Reason.TOO_SHORT),
        ("名前", Reason.TOO_SHORT),
        ("강 세 개", Reason.TOO_SHORT),
        (" ".join(["word"] * 151), Reason.TOO_LONG),
        ("字" * 301, Reason.TOO_LONG),
        ("Describe what the picture shows.", Reason.NOT_FOR_TEXT_MODEL),
        ("Go to the shop and buy bread.", Reason.NOT_FOR_TEXT_MODEL),
        ("Write a program that sorts numbers.", Reason.WRITE_A_PROGRAM),
        ("write a Program that sorts numbers.", Reason.WRITE_A_PROGRAM),
        (": name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("- name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("– name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("# name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("** name a river in Spain", Reason.LEADING_PUNCTUATION),
        (") name a river in Spain", Reason.LEADING_PUNCTUATION),
    ],
)
def test_the_first_matching_rule_gives_the_reason(instruction: str, reason: Reason) -> None:
    assert rejection_reason(instruction, DEFAULT) == reason


@pytest.mark.parametrize(
    "instruction",
    [
        "Name a river in Spain.",
        "name a river in spain",
        " ".join(["word"] * 150),
        "字" * 300,
        "川の名前を三つ挙げてください。",
        "강 이름 세 개를 쓰세요.",
        "Describe a graphic novel to a child.",
        "Explain how to plotless films end.",
        "¿Qué río pasa por Sevilla?",
        "“To be or not to be” – who says it?",
        '"To be or not to be": who says it?',
        "«Быть или не быть» – кто это говорит?",
        "(Briefly) name a river in Spain.",
        "[Poem] Write four lines about rain.",
        "Please write a program that sorts.",
        "Write a programme for the school concert.",
        "3 apples cost 2 euros: what do 7 cost?",
        "É verdade que o mar é azul?",
    ],
)
def test_a_good_instruction_passes_all_rules(instruction: str) -> None:
    assert rejection_reason(instruction, DEFAULT) is None


@pytest.mark.parametrize(
    "instruction",
    [
        "Sum up https://example.org/news in a sentence.",
        "Sum up (HTTP://example.org) in a sentence.",
        "Sum up what www.example.org says today.",
        "Sum up ftp://example.org/a in a sentence.",
    ],
)
def test_an_instruction_with_a_url_is_rejected(instruction: str) -> None:
    assert rejection_reason(instruction, DEFAULT) == Reason.URL


def test_words_about_the_web_are_no_url() -> None:
    assert rejection_reason("Explain what http and www stand for.", DEFAULT) is None
    assert rejection_reason("Say whether HTTPS is safer than FTP.", DEFAULT) is None


@pytest.mark.parametrize(
    "sign", ["\0", "\x1b", "\x7f", "\u200b", "\u202e", "\ue000", "\ufffd", "\ufeff"]
)
def test_control_characters_are_rejected(sign: str) -> None:
    assert rejection_reason(f"Name a river{sign} in Spain.", DEFAULT) == Reason.CONTROL_CHARACTERS


@pytest.mark.parametrize(
    "instruction",
    [
        "Name a river\tin\nSpain.",
        "نام سه رودخانه را می‌نویسی",  # a joiner in a Persian word
        "Say what 👩‍🔬 stands for.",  # a joiner in an emoji
        "Say what ❤️ stands for.",
        "Name a\xa0river in\u3000Spain.",
    ],
)
def test_white_space_and_joiners_are_no_control_characters(instruction: str) -> None:
    assert rejection_reason(instruction, DEFAULT) is None


@pytest.mark.parametrize(
    "instruction",
    [
        "Name a river. Task 10: Name a lake.",
        "Name a river. Instruction 10. Name a lake.",
        "Name a river in Spain. ### Name a lake.",
        "Come up with a series of tasks about rivers.",
        "Come up with a series of 20 tasks.",
        "Name a river. Input: Spain",
        "Name a river. Output: Ebro",
        "Name a river. Class label: long",
        "Name a river. Is it classification? No",
        "1. Name a long river in Spain. 2. Name a lake.",
    ],
)
def test_several_tasks_in_one_are_rejected(instruction: str) -> None:
    assert rejection_reason(instruction, DEFAULT) == Reason.MERGED_TASKS


@pytest.mark.parametrize(
    "instruction",
    [
        "Describe the input and output of a sorting function.",
        "Explain the task of a judge to a child.",
        "Rank these metals: 1. gold 2. tin 3. iron",
        "Explain C# and the # sign to a beginner.",
        "Convert 3.5 metres to feet. Round to 2 digits.",
        "Sum up chapter 10. Then judge it.",
    ],
)
def test_one_task_may_contain_numbers_and_labels(instruction: str) -> None:
    assert rejection_reason(instruction, DEFAULT) is None


# ── both profiles ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("profile", "recipe"), RULES)
def test_media_words_match_whole_words_in_any_case(profile: str, recipe: str) -> None:
    expected: dict[str, Reason | None] = {}
    for word in NOT_TEXT + NOT_TEXT_ALPACA:
        is_rejected = word in NOT_TEXT or recipe == "alpaca"
        reason = Reason.NOT_FOR_TEXT_MODEL if is_rejected else None
        expected[f"Say what the {word} is about."] = reason
        expected[f"Say it twice: {word.upper()}!"] = reason
        expected[f"Say what the un{word} is about."] = None
        expected[f"Say what the {word}ness is about."] = None
    rules = RULES[profile, recipe]
    assert {text: rejection_reason(text, rules) for text in expected} == expected


@given(st.text(), st.sampled_from(sorted(RULES)))
def test_rules_accept_any_text_as_argument(text: str, which: tuple[str, str]) -> None:
    reason = rejection_reason(text, RULES[which])
    assert reason is None or reason in {name for name, _ in RULES[which]}


@given(st.text())
def test_accepted_instructions_have_words_and_no_nul(text: str) -> None:
    if rejection_reason(text, DEFAULT) is None:
        assert any(map(str.isalnum, text))
        assert "\0" not in text


def test_the_shipped_seed_tasks_pass_all_rules() -> None:
    seeds = read_seed_tasks(ROOT / "seed_tasks.jsonl")
    for rules in RULES.values():
        assert {seed.instruction: rejection_reason(seed.instruction, rules) for seed in seeds} == {
            seed.instruction: None for seed in seeds
        }


# ── profile "paper" ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("", Reason.EMPTY),
        ("One two three", Reason.TOO_SHORT),
        ("One two three four", None),
        (" ".join(["word"] * 150), None),
        (" ".join(["word"] * 151), Reason.TOO_LONG),
        ("川の名前を三つ挙げてください。", Reason.TOO_SHORT),
        ("Write a program that sorts.", Reason.WRITE_A_PROGRAM),
        ("Write a programme for the concert.", Reason.WRITE_A_PROGRAM),
        ("write a program that sorts.", None),
        ("Please write a program that sorts.", None),
        ("“To be or not to be” – who?", Reason.NON_ASCII_START),
        ("É verdade que o mar é azul?", Reason.NON_ASCII_START),
        ("강 이름 세 개를 쓰세요.", Reason.NON_ASCII_START),
        ("Sum up https://example.org in a sentence.", None),
        ("Name a river. Input: Spain and Italy", None),
    ],
)
def test_the_paper_rules_decide_as_published(instruction: str, reason: Reason | None) -> None:
    assert rejection_reason(instruction, PAPER) == reason


def test_the_paper_rules_reject_leading_ascii_punctuation() -> None:
    texts = [f"{sign}name a river in Spain" for sign in string.punctuation]
    reasons = {text: rejection_reason(text, PAPER) for text in texts}
    assert reasons == dict.fromkeys(texts, Reason.LEADING_PUNCTUATION)


# ── scripts ─────────────────────────────────────────────────────────────────────────────────────────────

ENGLISH = ["Name three rivers of Europe.", "Sum up the letter in a sentence."]
KOREAN = ["유럽의 강 세 개를 쓰세요.", "편지를 한 문장으로 요약하세요."]
JAPANESE = ["川の名前をトルコ語で三つ書いてください。"]


def test_scripts_need_one_percent_of_the_letters() -> None:
    assert scripts_of(ENGLISH) == {"LATIN"}
    assert scripts_of([*KOREAN, "AI 모델을 설명하세요."]) == {"HANGUL", "LATIN"}
    assert scripts_of(JAPANESE) == {"KATAKANA", "HIRAGANA", "CJK"}
    assert scripts_of(["a" * 99 + "я"]) == {"LATIN", "CYRILLIC"}
    assert scripts_of(["a" * 100 + "я"]) == {"LATIN"}
    assert scripts_of([]) == frozenset()
    assert scripts_of(["123 – 456"]) == frozenset()


@pytest.mark.parametrize(
    ("text", "known", "is_wrong"),
    [
        ("Name a river.", ENGLISH, False),
        ("Crème brûlée für Ängstliche", ENGLISH, False),
        ("Ｎａｍｅ ａ ｒｉｖｅｒ", ENGLISH, False),
        ("강의 이름을 쓰세요.", ENGLISH, True),
        ("Назовите три реки", ENGLISH, True),
        ("Say what 川 means in English.", ENGLISH, False),
        ("Say 강의 이름을 쓰세요", ENGLISH, True),
        ("강의 이름을 쓰세요.", KOREAN, False),
        ("Name a river.", KOREAN, True),
        ("强调河流的名称。", KOREAN, True),
        ("강의 이름을 AI에게 쓰세요.", KOREAN, False),
        ("川の名前を書く", JAPANESE, False),
        ("Name a river.", KOREAN + ENGLISH, False),
        # Half of the letters are not a majority. A text without letters has no script.
        ("ab 강의", ENGLISH, False),
        ("ab 강의을", ENGLISH, True),
        ("1 + 1 = ?", ENGLISH, False),
        ("", ENGLISH, False),
        # If no script is given, no text is in a wrong script.
        ("Name a river.", [], False),
        ("Name a river.", ["123"], False),
    ],
)
def test_most_letters_decide_the_script_of_a_text(
    text: str, known: list[str], *, is_wrong: bool
) -> None:
    assert is_in_wrong_script(text, scripts_of(known)) == is_wrong


@given(st.lists(st.text(), max_size=5))
def test_texts_are_in_their_own_scripts(texts: list[str]) -> None:
    assert not is_in_wrong_script("".join(texts), scripts_of(texts)) or len(scripts_of(texts)) == 0


@given(st.text(), st.frozensets(st.sampled_from(["LATIN", "HANGUL", "CJK", "GREEK"])))
def test_any_text_may_be_checked_for_scripts(text: str, scripts: frozenset[str]) -> None:
    assert is_in_wrong_script(text, scripts) in (True, False)
    assert not is_in_wrong_script(text, scripts | scripts_of(list(text)))
