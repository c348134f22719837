"""The method, pure: seeds → prompts → parse → filters → novelty → pool. No network, no journal."""
