"""Settings: declare them, and read them from YAML, the command line and Python."""
