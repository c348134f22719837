"""Deliberate faults: fault plans, the assignment of faults to attempts, and their effects on replies."""
