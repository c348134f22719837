"""Settings: their declaration, and reading them from YAML, the command line and Python."""
