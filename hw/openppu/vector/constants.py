"""Numbers that the vector unit's functions are made of, each exactly a binary32.

Polynomials were fitted in double precision to the smallest largest relative error of the function's value (weighted
least squares whose weights follow the error, on Chebyshev points), then rounded to binary32.
"""

_HEX = float.fromhex

TO_WHOLE = 12582912.0
"""1.5 x 2**23: added and taken away again, it leaves the nearest whole number, of up to 2**22."""

LOG2_E = _HEX("0x1.715476p+0")
LN2_HIGH = _HEX("0x1.62e400p-1")
"""Of few bits, so that products with whole numbers up to 511 are exact."""
LN2_LOW = _HEX("0x1.7f7d1cp-20")
ROOT_2 = _HEX("0x1.6a09e6p+0")

TWO_OVER_PI = _HEX("0x1.45f306p-1")
HALF_PI = tuple(map(_HEX, ("0x1.921fb6p+0", "-0x1.777a5cp-25", "-0x1.ee59dap-50")))
"""Pi / 2 in three pieces."""
TRIGONOMETRIC_LIMIT = 131072.0

GELU = tuple(map(_HEX, ("0x1.988454p+0", "-0x1.857936p-25")))
"""2 sqrt(2 / pi) in two pieces."""
GELU_CUBE = tuple(map(_HEX, ("0x1.2444f2p-4", "0x1.49b16ap-29")))
"""0.044715 times that."""

EXP = tuple(map(_HEX, ("0x1.000000p-1", "0x1.55548ep-3", "0x1.55545ep-5", "0x1.123b52p-7", "0x1.6db420p-10")))
"""(e**r - 1 - r) / r**2 for |r| up to ln 2 / 2, by powers of r from the 0th."""

LOG = tuple(
    map(
        _HEX,
        (
            *("0x1.555548p-2", "-0x1.000006p-2", "0x1.99a4bcp-3", "-0x1.555c5ep-3", "0x1.2336e0p-3"),
            *("-0x1.fc1ec8p-4", "0x1.e6f57cp-4", "-0x1.de5368p-4", "0x1.146924p-4"),
        ),
    )
)
"""(ln(1 + f) - f + f**2 / 2) / f**3 for 1 + f from sqrt(1/2) to sqrt(2)."""

TANH = tuple(
    map(
        _HEX,
        ("-0x1.555554p-2", "0x1.1110dep-3", "-0x1.ba09e2p-5", "0x1.64e7bep-6", "-0x1.13cd2cp-7", "0x1.3a70fep-9"),
    )
)
"""(tanh x - x) / x**3 by powers of x**2, for |x| up to 0.55."""
TANH_LIMIT = _HEX("0x1.19999ap-1")

SIN = tuple(map(_HEX, ("-0x1.555556p-3", "0x1.111108p-7", "-0x1.a00f98p-13", "0x1.6cd732p-19")))
"""(sin r - r) / r**3 by powers of r**2, for |r| up to pi / 4."""
COS = tuple(map(_HEX, ("0x1.555556p-5", "-0x1.6c16b8p-10", "0x1.a0111cp-16", "-0x1.2429fcp-22")))
"""(cos r - 1 + r**2 / 2) / r**4 likewise."""
