"""Programs of the vector unit."""
