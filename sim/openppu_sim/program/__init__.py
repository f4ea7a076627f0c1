"""Programs: lists of commands, their text and their bytes."""
