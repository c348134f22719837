"""Reads, exports, deduplicates, decontaminates, imports and describes dataset files."""
