"""Collectives in hardware: an engine beside the router that runs small programs, and the planner that writes them."""
