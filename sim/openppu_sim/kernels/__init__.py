"""What the chip's engines are given to do: programs and commands for common computations."""
