"""Formal proofs of the control of the tile and of the memory controller.

`harness` and `probe` are what a proof is made of, `proof` makes it, `parts`, `fetch` and `tile` hold the tile's
harnesses, `hbm` and ``hbm_*`` the memory controller's, `proofs` lists them all. ``docs/formal.md`` says what is proved
and how to add to it.
"""
