"""Matrix products out of the scratchpad."""
