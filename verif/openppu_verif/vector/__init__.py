"""Verification of the vector unit."""
