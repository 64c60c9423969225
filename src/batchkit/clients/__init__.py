"""Clients: the objects that talk to providers, and what they answer."""
