"""Lash sessions in SQL databases."""
