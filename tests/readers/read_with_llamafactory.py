"""Loads a dataset listed in a dataset_info.json with LLaMA-Factory, and returns a result for each row.

A job is {"dataset_dir": DIRECTORY, "name": NAME}. A row's result contains the prompt, the response and the
system prompt after LLaMA-Factory's conversion, and the masked and the learned text.
"""

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

from readers.jobs import Job, carry_out, told

# LLaMA-Factory needs torchaudio only for sound, and torchaudio is built only for torch with CUDA.
_sound = types.ModuleType("torchaudio")
_sound.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = _sound

from llamafactory.data import (  # type: ignore[import-not-found]  # noqa: E402
    get_dataset,
    get_template_and_fix_tokenizer,
    loader,
)
from llamafactory.hparams import get_train_args  # type: ignore[import-not-found]  # noqa: E402
from llamafactory.model import load_tokenizer  # type: ignore[import-not-found]  # noqa: E402


def read(job: Job, model: str, room: Path) -> dict[str, Any]:
    """Prepare the data as `llamafactory-cli train` does before the first training step."""
    model_args, data_args, training_args, _, _ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": model,
            "dataset": job["name"],
            "dataset_dir": job["dataset_dir"],
            "template": "chatml",
            "cutoff_len": 1 << 20,
            "output_dir": str(room),
            "report_to": "none",
            "use_cpu": True,
        }
    )
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    given = (model_args, data_args, training_args)
    converted = loader._get_merged_dataset(data_args.dataset, *given, stage="sft")
    prepared = get_dataset(template, *given, stage="sft", **loaded)["train_dataset"]
    return {
        "converted": [
            {"prompt": row["_prompt"], "response": row["_response"], "system": row["_system"]}
            for row in converted
        ],
        "prepared": [told(loaded["tokenizer"], r["input_ids"], r["labels"]) for r in prepared],
    }


if __name__ == "__main__":
    carry_out(read)
