"""The host's side of a chip: registers behind AXI4-Lite, and a window to its memory behind AXI4.

What a PCIe endpoint's AXI bridge is attached to. ``docs/host.md`` describes it.
"""
