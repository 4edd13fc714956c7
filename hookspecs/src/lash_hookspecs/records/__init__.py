"""Records: what plugins, core and stores pass to each other."""
