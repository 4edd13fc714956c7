"""The basics of Lash: the standard mode, an offline model, the file tools and compaction, as four plugins."""
