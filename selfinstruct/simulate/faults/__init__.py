"""Faults on purpose: a plan, which attempt has which fault, and how each looks to a client."""
