"""The memory of a compute unit."""
