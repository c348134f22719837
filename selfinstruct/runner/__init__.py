"""A run: its directory, its journal, and the loop that sends requests and commits replies."""
