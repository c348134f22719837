"""Settings: declared once, read from YAML, flags and Python."""
