"""Testbench of the matmul engine (`docs/matmul.md`): a scratchpad at native speed."""
