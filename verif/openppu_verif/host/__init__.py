"""The host's side of a chip: its corner alone, and the whole chip, as a host's bus sees them."""
