"""Money and tokens: prices of models, what was spent, the limits of a run."""
