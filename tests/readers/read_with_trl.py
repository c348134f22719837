"""Prepares exported files with TRL's trainer, and returns what a model learns from each row.

A job is {"file": FILE, "kind": KIND}. KIND is the first argument of `load_dataset` (json, csv or parquet), or
"folder" for a directory from `save_to_disk`.
"""

from pathlib import Path
from typing import Any

from datasets import load_dataset, load_from_disk
from readers.jobs import Job, carry_out, told
from transformers import AutoTokenizer  # type: ignore[import-not-found]
from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]


def read(job: Job, model: str, room: Path) -> list[dict[str, str]]:
    """Return each row's masked text and learned text."""
    if job["kind"] == "folder":
        dataset: Any = load_from_disk(job["file"])
    else:
        dataset = load_dataset(job["kind"], data_files=job["file"], split="train")
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(room),
            max_length=None,
            # For rows with prompt and completion, TRL computes the loss on the completion by default.
            assistant_only_loss="prompt" not in dataset.column_names,
            use_cpu=True,
            bf16=False,
            report_to=[],
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    batches = [trainer.data_collator([row]) for row in trainer.train_dataset]
    return [told(tokenizer, b["input_ids"][0].tolist(), b["labels"][0].tolist()) for b in batches]


if __name__ == "__main__":
    carry_out(read)
