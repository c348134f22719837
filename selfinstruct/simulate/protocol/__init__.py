"""The completions API: requests as they are checked, replies as they are written."""
