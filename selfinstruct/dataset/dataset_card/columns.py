"""The content of each column of an export, in a line."""

from collections.abc import Mapping
from typing import Final

MEANING: Final[Mapping[str, str]] = {
    "instruction": "the task",
    "input": 'the input of the task; "" if the task needs none',
    "output": "the answer",
    "prompt": "instruction and input, as one text",
    "completion": "the answer",
    "messages": "a chat: the instruction and its input as the user's message, the answer as the assistant's",
    "conversations": "a chat: the instruction and its input from human, the answer from gpt",
    "system": "the system message before the chat",
    "text": "the whole row as one text",
    "id": "the id of the row: the task and the number of the instance",
    "task_id": "the id of the task, which is the same for all its instances",
    "origin": '"generated", "imported", or "seed" for a task written by people',
    "is_classification": "whether the model called it a classification task; null if not asked",
    "classification_answer": 'the answer of the model: "yes", "no" or "unclear", which counts as no',
    "request_id": "the request that produced the instruction",
    "ordinal": "the position of the instruction in the reply, from 1",
    "model": "the model that wrote the instruction, by the name of the server",
    "template": "the template of the request, with the start of its SHA-256",
    "demonstration_ids": "the tasks in the prompt, in order",
    "most_similar_instructions": "the ten most similar earlier tasks, each with its ROUGE-L",
    "avg_similarity_score": "the mean ROUGE-L to all earlier tasks",
}
