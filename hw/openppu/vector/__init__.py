"""The vector unit: what a lane computes, and the functions that are sequences of its operations."""
