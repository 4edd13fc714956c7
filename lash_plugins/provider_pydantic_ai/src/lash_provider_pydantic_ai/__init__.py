"""Model providers for Lash, by way of pydantic-ai: some forty services behind one distribution."""

__all__: list[str] = []
