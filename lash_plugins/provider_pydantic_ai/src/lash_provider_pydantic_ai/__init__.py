"""Model providers for Lash through pydantic-ai."""
