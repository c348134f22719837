"""The author: writes replies to the prompts of Self-Instruct, in place of a language model."""
