"""What the hardware costs: Yosys maps it to gates and to ECP5 cells, nextpnr places and routes it."""
