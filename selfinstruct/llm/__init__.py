"""Backends that talk to language models. They implement `selfinstruct.backend`."""
