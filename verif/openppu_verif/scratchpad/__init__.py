"""The scratchpad's testbench."""
