"""Backends for language models; they implement `selfinstruct.backend`."""
