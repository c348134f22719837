"""A sentence for each reason why a candidate or an instance is rejected."""

from collections.abc import Mapping

from selfinstruct.records import Reason

MEANING: Mapping[Reason, str] = {
    Reason.EMPTY_REPLY: "The reply is empty, or contains only reasoning.",
    Reason.REFUSAL: "The model declines or apologizes instead of an answer.",
    Reason.NO_LIST: "The reply contains no list of tasks in a known format.",
    Reason.NO_OUTPUT: "The reply contains no recognizable output.",
    Reason.TRUNCATED: "The reply was cut off, so the text may be incomplete.",
    Reason.ECHO: "The text repeats the prompt: a demonstration, or the heading of the list.",
    Reason.MALFORMED: "The instruction, input or output is missing, or appears twice.",
    Reason.EMPTY: "The list has a number without a text.",
    Reason.TOO_SHORT: "The instruction has three words or fewer.",
    Reason.TOO_LONG: "The instruction has more than 150 words.",
    Reason.NOT_FOR_TEXT_MODEL: "A word such as image, file or draw shows that the task needs more than text.",
    Reason.WRITE_A_PROGRAM: "The instruction begins “Write a program”, which models put before known tasks.",
    Reason.LEADING_PUNCTUATION: "The instruction begins with a punctuation mark, as in a broken list.",
    Reason.NON_ASCII_START: "The first character is not ASCII; the published code rejects it.",
    Reason.CONTROL_TOKENS: "The text contains a control token or a reasoning tag, such as <think>.",
    Reason.CONTROL_CHARACTERS: "The text contains terminal control characters or broken characters.",
    Reason.URL: "The instruction contains a web address, which a text model cannot open.",
    Reason.MERGED_TASKS: "The text merges several tasks, or a task and its example.",
    Reason.WRONG_SCRIPT: "Most letters belong to a script that no seed or imported task uses.",
    Reason.NO_WORDS: "The text contains no letter and no digit.",
    Reason.NO_TOKENS: "ROUGE-L finds no token in the text, so a copy would go unnoticed.",
    Reason.NOT_NOVEL: "Its ROUGE-L to a task of the pool is over the threshold.",
    Reason.EMPTY_OUTPUT: "The output is empty, or only says that it is empty.",
    Reason.EMPTY_INPUT: "The classification label has an empty input.",
    Reason.OUTPUT_EQUALS_INPUT: "The output only repeats the input.",
    Reason.ENDS_IN_COLON: "The input or output ends in a colon, so its continuation is missing.",
    Reason.AMBIGUOUS_FORMAT: "The format does not separate the input from the output.",
    Reason.CONFLICTING_OUTPUTS: "The reply gives several outputs for this input; none of them is used.",
    Reason.DUPLICATE_INSTANCE: "The same instance appears earlier in the reply.",
    Reason.OVER_LIMIT: "The task already has the maximum number of instances.",
}
"""What each reason means, in a sentence."""
