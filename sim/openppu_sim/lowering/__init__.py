"""From problems to commands: what the chip is told to do."""
