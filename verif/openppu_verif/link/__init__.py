"""Testbenches of the inter-chip link: the channel between two ports, the native bench, its figures."""
