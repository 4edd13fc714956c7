"""The session graph and its read model: pure code, no I/O."""
