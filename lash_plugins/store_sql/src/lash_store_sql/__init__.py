"""Stores in SQL databases: SQLite today."""
