"""How many bits of a value are set."""

from amaranth import Value


def ones(value: Value) -> Value:
    """The number of bits that are set, by a tree of adders.

    A chain, as of Python's ``sum``, is as deep as the value is wide; Yosys's reader of Verilog takes time that doubles
    with each level of such an expression.
    """
    half = len(value) // 2
    return ones(value[:half]) + ones(value[half:]) if half else value
