"""Files that users send and tools return: where they are kept, and how a model gets to see them."""
