"""The simulated author, which writes the endpoint's replies."""
