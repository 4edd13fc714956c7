"""Tools of a session: the surface, validation, dispatch."""
