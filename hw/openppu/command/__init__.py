"""The command processor: rings of commands in memory, a queue an engine, semaphores, records.

`instruction` describes commands, `controls` those of every queue; `queue` runs a ring, `processor` is the whole.
"""
