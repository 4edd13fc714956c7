"""The patterns by which requests are read, one module for each kind of request."""
