"""The generation method: seed tasks → prompts → parsers → filters → novelty → pool. No network or journal."""
