"""Prepares the datasets in an exported stanza with axolotl, and returns what a model learns from each row.

A job is {"stanza": FILE.yaml}. The stanza is added to a minimal configuration. The results are separate for
training and test data, and are not shuffled.
"""

import os
from pathlib import Path

from readers.jobs import Job, carry_out, told

os.environ["AXOLOTL_IS_PREPROCESS"] = "1"  # `axolotl preprocess` sets this too.


def read(job: Job, model: str, room: Path) -> dict[str, list[dict[str, str]]]:
    """Prepare the data as `axolotl preprocess` does, and return the rows by split."""
    # Import these modules here, because otherwise each of axolotl's worker processes would load them.
    import yaml
    from axolotl.utils.config import validate_config  # type: ignore[import-not-found]
    from axolotl.utils.data.sft import prepare_datasets  # type: ignore[import-not-found]
    from axolotl.utils.dict import DictDefault  # type: ignore[import-not-found]
    from transformers import AutoTokenizer  # type: ignore[import-not-found]

    stanza = yaml.safe_load(Path(job["stanza"]).read_text(encoding="utf-8"))
    given = {
        "base_model": model,
        "sequence_len": 1 << 20,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "learning_rate": 1e-5,
        "val_set_size": 0.0,
        "dataset_num_proc": 1,
        "shuffle_merged_datasets": False,
        "dataset_prepared_path": str(room / "prepared"),
        "output_dir": str(room / "out"),
    }
    config = validate_config(DictDefault({**given, **stanza}))
    tokenizer = AutoTokenizer.from_pretrained(model)
    train, test, _, _ = prepare_datasets(config, tokenizer)
    return {
        part: [told(tokenizer, row["input_ids"], row["labels"]) for row in rows or []]
        for part, rows in (("train", train), ("test", test))
    }


if __name__ == "__main__":
    carry_out(read)
