"""What each reason for a rejection says, in a line: of a candidate, or of an instance."""

from collections.abc import Mapping
from typing import Final

from selfinstruct.records import Reason

SAYS: Final[Mapping[Reason, str]] = {
    Reason.EMPTY_REPLY: "the whole reply was empty",
    Reason.REFUSAL: "the model refused",
    Reason.NO_LIST: "the reply held no list of tasks",
    Reason.NO_OUTPUT: "the reply held no output",
    Reason.TRUNCATED: "the reply was cut before the item ended",
    Reason.ECHO: "repeated what the prompt had shown",
    Reason.MALFORMED: "was not in the form that was asked for",
    Reason.EMPTY: "held nothing",
    Reason.TOO_SHORT: "had three words or fewer",
    Reason.TOO_LONG: "had more than 150 words",
    Reason.NOT_FOR_TEXT_MODEL: "spoke of images, files, maps, drawing or the like, found by English words",
    Reason.WRITE_A_PROGRAM: 'began "Write a program"',
    Reason.LEADING_PUNCTUATION: "began with a sign that opens no sentence",
    Reason.NON_ASCII_START: "began with a character that is not ASCII",
    Reason.CONTROL_TOKENS: "contained a control token or a reasoning tag",
    Reason.CONTROL_CHARACTERS: "held control characters, or ones that hide the direction of text",
    Reason.URL: "held an address of the web",
    Reason.MERGED_TASKS: "was several tasks in one",
    Reason.WRONG_SCRIPT: "was mostly in a script that nothing before it uses",
    Reason.NO_WORDS: "held no letter and no digit",
    Reason.NO_TOKENS: "held nothing that could be compared with other tasks",
    Reason.NOT_NOVEL: "was too like a task that was there already",
    Reason.EMPTY_OUTPUT: "had an empty output, or one that only says so",
    Reason.EMPTY_INPUT: "had an input that was announced and left empty",
    Reason.OUTPUT_EQUALS_INPUT: "had the input as its output",
    Reason.ENDS_IN_COLON: "had an output that ended in a colon",
    Reason.AMBIGUOUS_FORMAT: "was a text that may be an input or an output",
    Reason.CONFLICTING_OUTPUTS: "had an input that stood there with several outputs",
    Reason.DUPLICATE_INSTANCE: "stood there already",
    Reason.OVER_LIMIT: "was one more than are kept of a task",
}
"""Each goes on from "The candidate …" or "The instance …"."""
