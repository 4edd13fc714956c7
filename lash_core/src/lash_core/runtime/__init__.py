"""A live session: environment, lifecycle, turn, commit."""
