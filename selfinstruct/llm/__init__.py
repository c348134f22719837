"""The client of an endpoint, and the backend that completes requests with the client."""
