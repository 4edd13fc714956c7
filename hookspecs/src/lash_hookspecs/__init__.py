"""The contract between Lash and its plugins: hook specifications, records and protocols."""
