"""The Lash runtime: durable, pluggable sessions for LLM agents."""
