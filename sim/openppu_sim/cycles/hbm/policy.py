"""The choices of the controller that are built in, not set at run time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the hardware's scheduler has as constants; a test holds them equal.

    Parameters
    ----------
    near : float
        The share of a queue, from its oldest entry, whose banks are not refreshed if others can be.
    many : int
        Entries with open rows that make it worth turning the data bus round.
    turn : int
        Oldest entries that have their turn if the other direction cannot wait either.
    refresh_limit : int
        tREFI worth of refreshes that may be owed, or done ahead.
    patience : int
        Clocks for which a row command of one slot lets activations pass it.
    port_entries : int
        Entries that wait in a port for each pseudo-channel.
    port_words : int
        Words of writes that a port holds for each pseudo-channel.
    """

    near: float = 3 / 8
    many: int = 4
    turn: int = 8
    refresh_limit: int = 8
    patience: int = 8
    port_entries: int = 4
    port_words: int = 32
