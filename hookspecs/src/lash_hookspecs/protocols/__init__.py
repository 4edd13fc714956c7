"""Protocols: what stores, hosts, modes, model providers and tools implement."""
