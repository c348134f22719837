"""Analyses of a run: estimate its cost, explain what happened to a text, verify its journal."""
