"""The meaning of each reason for a rejection, in a line."""

from collections.abc import Mapping
from typing import Final

from selfinstruct.records import Reason

MEANING: Final[Mapping[Reason, str]] = {
    Reason.EMPTY_REPLY: "the whole reply was empty",
    Reason.REFUSAL: "the model refused",
    Reason.NO_LIST: "the reply had no list of tasks",
    Reason.NO_OUTPUT: "the reply had no output",
    Reason.TRUNCATED: "the reply was cut before the item ended",
    Reason.ECHO: "repeated a part of the prompt",
    Reason.MALFORMED: "was not in the requested form",
    Reason.EMPTY: "was empty",
    Reason.TOO_SHORT: "had three words or fewer",
    Reason.TOO_LONG: "had more than 150 words",
    Reason.NOT_FOR_TEXT_MODEL: "mentioned images, files, maps or drawing, in English words",
    Reason.WRITE_A_PROGRAM: 'began "Write a program"',
    Reason.LEADING_PUNCTUATION: "began with punctuation",
    Reason.NON_ASCII_START: "began with a character that is not ASCII",
    Reason.CONTROL_TOKENS: "contained a control token or a reasoning tag",
    Reason.CONTROL_CHARACTERS: "had control characters, or characters that change the direction of text",
    Reason.URL: "had a web address",
    Reason.MERGED_TASKS: "was several tasks in one",
    Reason.WRONG_SCRIPT: "was mostly in a script that nothing before it uses",
    Reason.NO_WORDS: "had neither a letter nor a digit",
    Reason.NO_TOKENS: "had no word to compare with other tasks",
    Reason.NOT_NOVEL: "was too similar to an earlier task",
    Reason.EMPTY_OUTPUT: "had an empty output, or a phrase for an empty output",
    Reason.EMPTY_INPUT: "announced an input and left it empty",
    Reason.OUTPUT_EQUALS_INPUT: "had the input as its output",
    Reason.ENDS_IN_COLON: "had an output that ended in a colon",
    Reason.AMBIGUOUS_FORMAT: "had a text that may be an input or an output",
    Reason.CONFLICTING_OUTPUTS: "had an input with several different outputs",
    Reason.DUPLICATE_INSTANCE: "repeated an earlier instance",
    Reason.OVER_LIMIT: "was over the maximum for a task",
}
"""Each meaning continues "The candidate …" or "The instance …"."""
