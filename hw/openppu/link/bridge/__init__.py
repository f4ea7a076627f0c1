"""From a link's own memory streams, a beat wide, to a chip's memory, 32 bytes wide."""
