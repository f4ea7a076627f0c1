"""The network between a chip's engines and its memories."""
