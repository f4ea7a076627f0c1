"""A chip's link as one unit: commands, memory, semaphores and registers around the ports.

`instructions` lists its commands; `link_engine` runs them; `link_unit` is the whole.
"""
