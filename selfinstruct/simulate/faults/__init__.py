"""Intended faults: the plan, the assignment to attempts, and the effects on replies."""
