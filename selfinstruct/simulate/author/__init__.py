"""The author, which writes the replies of the simulated endpoint."""
