"""The DMA: moves data between a chip's memory and a scratchpad."""
