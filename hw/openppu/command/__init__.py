"""The command processor: what engines are told, and what they answer."""
