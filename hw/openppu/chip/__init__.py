"""The whole chip: compute units, memory, link, command processor and host, joined by the network.

`compute_unit` is what is there several times, `chip` the whole.
"""
