"""What proves a host: it needs the core, for a host runs what the core hands it."""
