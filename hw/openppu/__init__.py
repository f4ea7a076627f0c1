"""OpenPPU's hardware, in Amaranth."""

__version__ = "0.1.0"
