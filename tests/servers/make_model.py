"""Makes a tiny language model on the spot: a tokenizer, two layers, a minute of training, two file formats.

Runs with the servers' Python, not with ours, and knows nothing of selfinstruct: it is given prompts with
their replies as JSON and learns to write such replies, in words that rarely make sense. What it learns
enough of is the shape: that a list goes on with "9.", that a question is answered with "No" and an end.

    python make_model.py overheard.json MODEL_FOLDER

MODEL_FOLDER then holds what transformers reads, and the same model as `model.gguf`.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import gguf  # type: ignore[import-not-found]
import numpy as np
import torch  # type: ignore[import-not-found]
from tokenizers import (  # type: ignore[import-not-found]
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)
from transformers import (  # type: ignore[import-not-found]
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

BOS, EOS, USER, ASSISTANT = SPECIAL = "<s>", "</s>", "<|user|>", "<|assistant|>"
CONTEXT = 4096
WINDOW = 128
"""Tokens of a text that are learned from at a time: mostly the end of a prompt and what follows it."""
BATCH = 8
EXCERPTS, WHOLE = 700, 400
"""Steps of either kind: quick ones first, then those that show how far back a prompt reaches."""
LEARNING_RATE = 3e-3

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %}{{ message['content'] }}</s>{% endgeneration %}"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN_CHAT_TEMPLATE = CHAT_TEMPLATE.replace("{% generation %}", "").replace(
    "{% endgeneration %}", ""
)
"""For readers that do not know the mark of what a model wrote itself."""

Overheard = dict[str, str]
"""A prompt, its reply, which api was asked, and what for."""


def make_tokenizer(overheard: list[Overheard]) -> Any:
    """Byte-level BPE, so that any text has tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((o["prompt"][-800:] + o["reply"] for o in overheard), trainer)
    return tokenizer


class Lessons:
    """What to learn from, as token ids and labels, -100 where nothing is to be learned."""

    def __init__(self, tokenizer: Any, overheard: list[Overheard]) -> None:
        user, assistant, end = (tokenizer.token_to_id(name) for name in (USER, ASSISTANT, EOS))
        self._end = end
        self._rng = random.Random(0)
        self._kinds: dict[tuple[str, str], list[tuple[list[int], list[int]]]] = {}
        for one in overheard:
            prompt = tokenizer.encode(one["prompt"]).ids
            prompt = [user, *prompt, assistant] if one["api"] == "chat" else prompt
            reply = [*tokenizer.encode(one["reply"]).ids, end]
            self._kinds.setdefault((one["api"], one["kind"]), []).append((prompt, reply))

    def _one(self) -> tuple[list[int], list[int]]:
        """Return a prompt and its reply; each kind of request has the same share."""
        return self._rng.choice(self._kinds[self._rng.choice(list(self._kinds))])

    def excerpts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a batch of short pieces: the end of a prompt with its reply, or the middle of a reply."""
        seen, labels = [], []
        for _ in range(BATCH):
            prompt, reply = self._one()
            ids, begin = prompt + reply, len(prompt)
            if self._rng.random() < 0.7:
                start = begin - self._rng.randint(WINDOW // 8, WINDOW * 3 // 4)
            else:
                start = self._rng.randint(begin - WINDOW // 2, max(begin, len(ids) - WINDOW))
            start = max(0, start)
            piece = ids[start : start + WINDOW]
            unlearned = max(0, begin - start)
            padding = WINDOW - len(piece)
            seen.append(piece + [self._end] * padding)
            labels.append([-100] * unlearned + piece[unlearned:] + [-100] * padding)
        return torch.tensor(seen), torch.tensor(labels)

    def whole(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a whole prompt and the beginning of its reply, as a server gets them."""
        prompt, reply = self._one()
        reply = reply[:WINDOW]
        return torch.tensor([prompt + reply]), torch.tensor([[-100] * len(prompt) + reply])


def train(tokenizer: Any, overheard: list[Overheard]) -> Any:
    """Make a Llama of half a million parameters."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.token_to_id(BOS),
            eos_token_id=tokenizer.token_to_id(EOS),
            pad_token_id=tokenizer.token_to_id(EOS),
            tie_word_embeddings=False,
        )
    )
    lessons = Lessons(tokenizer, overheard)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95))
    losses = []
    for step in range(EXCERPTS + WHOLE):
        for group in optimizer.param_groups:
            group["lr"] = (
                LEARNING_RATE * min(1.0, (step + 1) / 30) * (1 - step / (EXCERPTS + WHOLE))
            )
        seen, labels = lessons.excerpts() if step < EXCERPTS else lessons.whole()
        loss = model(input_ids=seen, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    last = losses[-50:]
    sys.stderr.write(f"loss {losses[0]:.2f} → {sum(last) / len(last):.2f}\n")
    # Without this, transformers serve takes the likeliest token whatever temperature is asked for.
    model.generation_config.do_sample = True
    return model.eval()


def save(tokenizer: Any, model: Any, folder: Path) -> None:
    """As transformers reads it."""
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
    ).save_pretrained(folder)


def save_gguf(tokenizer: Any, model: Any, path: Path) -> None:
    """As llama.cpp reads it: all numbers as 32-bit floats."""
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    described = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(described["vocab"], key=described["vocab"].__getitem__)
    kinds = [
        gguf.TokenType.CONTROL if piece in SPECIAL else gguf.TokenType.NORMAL for piece in pieces
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in described["merges"]])
    writer.add_bos_token_id(tokenizer.token_to_id(BOS))
    writer.add_eos_token_id(tokenizer.token_to_id(EOS))
    writer.add_pad_token_id(tokenizer.token_to_id(EOS))
    writer.add_add_bos_token(False)
    writer.add_chat_template(PLAIN_CHAT_TEMPLATE)

    weights = {
        name: value.detach().numpy().astype(np.float32)
        for name, value in model.state_dict().items()
    }

    def turned(name: str) -> Any:
        """Interleave the two halves of each head, as llama.cpp rotates them."""
        value = weights[name]
        heads = config.num_attention_heads
        halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(value.shape))

    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"blk.{layer}", f"model.layers.{layer}"
        for name in ("q", "k"):
            tensor = turned(f"{theirs}.self_attn.{name}_proj.weight")
            writer.add_tensor(f"{ours}.attn_{name}.weight", tensor)
        for name, other in (
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ):
            writer.add_tensor(f"{ours}.{name}.weight", weights[f"{theirs}.{other}.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Make the model."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    overheard = json.loads(source.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(overheard)
    model = train(tokenizer, overheard)
    save(tokenizer, model, folder)
    save_gguf(tokenizer, model, folder / "model.gguf")


if __name__ == "__main__":
    main()
