"""Questions about a run: what it will cost, what became of a text, whether its journal is right."""
