"""How the DMA is checked."""
