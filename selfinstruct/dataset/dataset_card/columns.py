"""What stands in each column of an exported row, in a line."""

from collections.abc import Mapping
from typing import Final

SAYS: Final[Mapping[str, str]] = {
    "instruction": "what is to be done",
    "input": 'what it is to be done with; "" where the instruction needs nothing',
    "output": "the answer",
    "prompt": "instruction and input, as one text",
    "completion": "the answer",
    "messages": "a chat: the instruction and its input as the user's message, the answer as the assistant's",
    "conversations": "a chat: the instruction and its input from human, the answer from gpt",
    "system": "what the assistant is told before the chat",
    "text": "all of it as one text",
    "id": "name of the row: that of its task, and which of its instances it is",
    "task_id": "name of the task; rows with one instruction share it",
    "origin": '"generated", "imported", or "seed" for a task that people wrote',
    "is_classification": "whether the model called it a classification task; null where it was not asked",
    "classification_answer": 'what it said to that: "yes", "no" or "unclear", which counts as no',
    "request_id": "the request whose reply held the instruction",
    "ordinal": "its place in that reply, from 1",
    "model": "the model that wrote the instruction, as the server named it",
    "template": "the template of that request, with the beginning of its SHA-256",
    "demonstration_ids": "the tasks that its prompt showed, in that order",
    "most_similar_instructions": "the ten most similar tasks before it, each with its ROUGE-L",
    "avg_similarity_score": "mean ROUGE-L to all tasks before it",
}
