"""The basics of Lash: the standard mode, an offline model and the file tools, as three plugins."""
