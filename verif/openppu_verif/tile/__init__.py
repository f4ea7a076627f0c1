"""Testbenches of the systolic matmul tile (``docs/tile.md``, ``docs/verification.md``)."""
