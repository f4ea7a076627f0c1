"""Whole chips: Verilated, with memory devices at their channels and lanes between their ports."""
