"""Stores that come with the core: the in-memory reference."""
