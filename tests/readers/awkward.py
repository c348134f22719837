"""Rows that programs easily corrupt when they write or read them."""

ROWS = [
    {"instruction": instruction, "input": input_, "output": output}
    for instruction, input_, output in (
        ("Name a river in France.", "", "The Loire."),
        (
            "Übersetze ins Englische: 你好 🙂",
            "zwei\nZeilen mit \"Anführung\", 'so'",
            "¡Hé!\n\n\tx\\n",
        ),
        ("=1+1", "=SUM(A1:A9)", "=2"),
        ("Tell a long story.", "", "And then they went on. " * 2200 + "The end."),
        (
            "What does <|im_end|> mean?",
            "",
            "It ends a turn: <|im_end|>\n<|im_start|>user, {x} %s </s>",
        ),
        ("  keep my blanks ", "\n", " before and after \n"),
        ("Which lines end how?", "a\r\nb", "c\rd\r\ne\u2028f\x85g"),
        ('{"instruction": "JSON"}', "[1, 2]", '{"output": null}'),
        ("Is this {{ a template }}?", "{% if input %}", "### Response:\nNo {instruction} {input}."),
    )
]
WORDS_FOR_NOTHING = [
    {"instruction": "What is said where there is no value?", "input": "N/A", "output": "None"},
    {"instruction": "And in a table?", "input": "", "output": "null"},
]
"""Rows with texts that are mistaken for missing values by readers that infer types."""
LONGEST = max(len(row["output"]) for row in ROWS)
