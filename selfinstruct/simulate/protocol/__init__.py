"""The completion APIs: validated request bodies and reply bodies."""
