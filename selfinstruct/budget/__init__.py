"""The budget of a run: model prices, what the run has spent, and its limits."""
