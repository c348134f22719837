"""Test the tokenizers: all scripts have tokens, and equivalent spellings of a text have equal tokens."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.pipeline.tokenizers import TOKENIZERS, length_in_words, rouge, unicode

ORACLE = DefaultTokenizer(use_stemmer=False)

# A sentence of at least four words in each language.
SPACED = {
    "Russian": "Назовите три реки Европы",
    "Greek": "Ονόμασε τρία ποτάμια της Ευρώπης",
    "Arabic": "اذكر ثلاثة أنهار في أوروبا",
    "Hebrew": "ציין שלושה נהרות באירופה",
    "Persian": "نام سه رودخانه را می‌نویسی",
    "Hindi": "यूरोप की तीन नदियों के नाम लिखो",
    "Bengali": "ইউরোপের তিনটি নদীর নাম লেখো",
    "Tamil": "ஐரோப்பாவின் மூன்று ஆறுகளின் பெயர்களை எழுது",
    "Vietnamese": "Kể tên ba con sông ở châu Âu",
    "Turkish": "İstanbul için üç ırmak adı yaz",
    "Georgian": "დაასახელე სამი მდინარე ევროპაში",
    "Amharic": "ሦስት የአውሮፓ ወንዞችን ጥቀስ",
}
SPACELESS = {
    "Chinese": "请说出欧洲的三条河流。",
    "Japanese": "ヨーロッパの川の名前を三つ挙げてください。",
    "Korean": "유럽에 있는 강 세 개의 이름을 쓰세요.",
    "Thai": "บอกชื่อแม่น้ำสามสายในยุโรป",
    "Lao": "ບອກຊື່ແມ່ນ້ຳສາມສາຍໃນເອີຣົບ",
    "Khmer": "សូមប្រាប់ឈ្មោះទន្លេបីនៅអឺរ៉ុប",
    "Burmese": "ဥရောပရှိ မြစ်သုံးခုကို အမည်ပေးပါ",
}
LETTERS = st.text(
    alphabet=st.characters(categories=["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd", "Zs", "Po"])
)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_both_tokenizers_agree_on_ascii(text: str) -> None:
    assert unicode(text) == rouge(text)


@given(
    st.text(alphabet=string.ascii_letters + string.digits + " .,-_'\t\n"), st.sampled_from("—…“”·")
)
def test_non_ascii_punctuation_changes_no_tokens(text: str, sign: str) -> None:
    # The non-ASCII character makes the tokenizer take its slow path.
    assert unicode(f"{text} {sign}") == rouge(text)


@given(st.text())
def test_rouge_tokens_match_rouge_score(text: str) -> None:
    assert rouge(text) == ORACLE.tokenize(text)


@pytest.mark.parametrize("text", SPACED.values(), ids=SPACED)
def test_words_of_scripts_with_spaces_are_tokens(text: str) -> None:
    # A joiner in a Persian word is not a letter.
    assert len(unicode(text)) == len(text.replace("\u200c", " ").split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Crème BRÛLÉE, 2 eggs", ["crème", "brûlée", "2", "eggs"]),
        ("Straße", ["strasse"]),
        ("snake_case", ["snake", "case"]),
        ("don’t", ["don", "t"]),
        ("川の名前、３つ", ["川", "の", "名", "前", "3", "つ"]),
        ("가나 다", ["가", "나", "다"]),
        ("ガギ", ["ガ", "ギ"]),
        ("ｶﾞ", ["ガ"]),
        ("ไทยน้ำ", None),
        ("AI모델2개", ["ai", "모", "델", "2", "개"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("々〇", ["々", "〇"]),
        ("\U00020000\U00020001", ["\U00020000", "\U00020001"]),
        ("١٢٣ ९", ["١٢٣", "९"]),
        ("！？。…—", []),
        ("", []),
        ("\u0301\u0902", []),
    ],
)
def test_tokens_are_words_or_single_characters(text: str, expected: list[str] | None) -> None:
    if expected is None:
        # In Thai, a consonant with its marks is one token, and a separate vowel is another.
        text, expected = "กี่มา", ["กี่", "ม", "า"]
    assert unicode(text) == expected


@pytest.mark.parametrize("text", SPACELESS.values(), ids=SPACELESS)
def test_characters_without_spaces_are_tokens_with_marks(text: str) -> None:
    tokens = unicode(text)
    folded = unicodedata.normalize("NFKC", text)
    letters = [sign for sign in folded if sign.isalnum()]
    assert len(tokens) == len(letters)
    marks = [sign for sign in folded if unicodedata.category(sign)[0] == "M"]
    assert "".join(tokens) == "".join(sign for sign in folded if sign in letters + marks)


@given(LETTERS | st.text())
def test_unicode_forms_of_a_text_have_equal_tokens(text: str) -> None:
    tokens = unicode(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert unicode(unicodedata.normalize(form, text)) == tokens
    assert unicode(text.casefold()) == tokens


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_full_width_characters_equal_ascii(text: str) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in text)
    assert unicode(wide) == rouge(text)


@given(LETTERS | st.text())
def test_tokens_keep_all_letters_and_digits(
    text: str,
) -> None:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    tokens = unicode(text)
    kept = "".join(sign for token in tokens for sign in token if sign.isalnum())
    assert kept == "".join(sign for sign in folded if sign.isalnum())
    assert all(token[0].isalnum() for token in tokens)


@given(LETTERS | st.text())
def test_an_exact_copy_with_tokens_is_never_novel(text: str) -> None:
    index = NoveltyIndex(0.7, "unicode", ["Another text of the pool", text])
    assert index.check(text).novel == (not unicode(text))
    assert index.check(unicodedata.normalize("NFD", text)).novel == (not unicode(text))


@pytest.mark.parametrize("text", (SPACED | SPACELESS).values(), ids=SPACED | SPACELESS)
def test_copies_are_found_in_any_language(text: str) -> None:
    others = [other for other in (SPACED | SPACELESS).values() if other != text]
    assert NoveltyIndex(0.7, "unicode", others).check(text).novel
    verdict = NoveltyIndex(0.7, "unicode", [*others, text]).check(f"{text}!")
    assert (verdict.novel, verdict.position, verdict.rouge_l) == (False, len(others), 1.0)
    # With the tokenizer "rouge", these copies are not found.
    assert rouge(text) == [] or text == SPACED["Vietnamese"] or text == SPACED["Turkish"]


def test_tokenizers_have_names() -> None:
    assert dict(TOKENIZERS) == {"rouge": rouge, "unicode": unicode}


# ── length of a text ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n", 0),
        ("Name a river.", 3),
        ("…", 1),
        ("Назовите три реки", 3),
        ("यूरोप की नदियाँ", 3),
        # In scripts without spaces, two characters count as a word.
        ("川の名前", 2),
        ("川の名", 2),
        ("请说出欧洲的三条河流。", 5),
        ("ทะเล", 2),
        # Two Korean syllables count as a word too, although Korean has spaces.
        ("강 세 개", 3),
        ("이름을 쓰세요", 4),
        ("AI 모델", 2),
    ],
)
def test_length_counts_words_or_pairs_of_characters(text: str, words: int) -> None:
    assert length_in_words(text) == words


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)))
def test_length_with_spaces_is_that_of_split(text: str) -> None:
    assert length_in_words(text) == len(text.split())


@pytest.mark.parametrize("text", SPACELESS.values(), ids=SPACELESS)
def test_a_sentence_without_spaces_has_several_words(
    text: str,
) -> None:
    assert 4 <= length_in_words(text) <= len(text) * 2 // 3
