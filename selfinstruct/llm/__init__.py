"""The endpoint client, and the backend that completes requests with it."""
