"""Formal proofs of the tile's control.

`harness` and `probe` are what a proof is made of, `proof` makes it, `parts`, `fetch` and `tile` hold the harnesses,
`proofs` lists them all. ``docs/formal.md`` says what is proved and how to add to it.
"""
