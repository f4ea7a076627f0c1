"""Breaks a netlist in hundreds of ways and counts what the tests miss. ``docs/mutation.md`` explains.

`netlist` makes one model with all mutations in it, `score` runs a part's tests on each, `claims` asks its proofs, and
`equivalence` proves of those that nothing noticed that nothing can.
"""
