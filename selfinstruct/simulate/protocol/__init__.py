"""The completions API: validated requests and the bodies of replies."""
