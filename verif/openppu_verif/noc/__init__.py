"""The on-chip network's testbench."""
