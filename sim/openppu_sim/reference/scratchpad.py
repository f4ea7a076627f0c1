"""What a scratchpad holds, to the bit: words of code words, wrong bits among them."""

import numpy as np

from openppu_sim.reference import secded

GROUP = 8
"""Bytes of a code word."""

POISON = 0x7F
"""What inverts the check bits of a code word that is known to be wrong."""


class Scratchpad:
    """Words of ``word_bytes``, all zero; each eight bytes have eight check bits.

    Parameters
    ----------
    words : int
    word_bytes : int
    """

    def __init__(self, *, words: int, word_bytes: int) -> None:
        self.groups = word_bytes // GROUP
        self.data = np.zeros((words, self.groups), dtype=np.uint64)
        self.check = np.zeros((words, self.groups), dtype=np.uint8)

    def read(self, address: int) -> tuple[np.ndarray, bool, bool]:
        """The bytes of a word; whether they are known to be wrong; whether some were corrected, and none is wrong.

        A code word that is wrong beyond correction comes as it was found.
        """
        data, _, corrected, wrong = secded.decode(self.data[address], self.check[address])
        error = bool(wrong.any())
        return data.view(np.uint8), error, bool(corrected.any()) and not error

    def write(self, address: int, data: np.ndarray, mask: np.ndarray) -> None:
        """Write the bytes whose mask is set.

        A code word that is written in part is corrected first, and with it all others of its word; one that cannot be
        is poisoned.
        """
        old, _, corrected, wrong = secded.decode(self.data[address], self.check[address])
        masks: np.ndarray = np.asarray(mask, dtype=bool).reshape(self.groups, GROUP)
        new = np.where(masks.ravel(), data, old.view(np.uint8)).astype(np.uint8).view(np.uint64)
        some, whole = np.any(masks, axis=1), np.all(masks, axis=1)
        if (some == whole).all():
            corrected[:] = False  # nothing is read
        for group in np.flatnonzero(some | corrected):
            self.data[address, group] = new[group]
            poison = POISON if wrong[group] and some[group] and not whole[group] else 0
            self.check[address, group] = int(secded.encode(new[group : group + 1])[0]) ^ poison

    def flip(self, address: int, bit: int) -> None:
        """Turn a bit of a word over: 72 to a code word, its check bits last."""
        group, place = divmod(bit, 72)
        if place < 64:
            self.data[address, group] ^= np.uint64(1 << place)
        else:
            self.check[address, group] ^= np.uint8(1 << (place - 64))

    def repair(self, address: int) -> bool:
        """Write back what can be corrected; whether there was any."""
        data, _, corrected, _ = secded.decode(self.data[address], self.check[address])
        for group in np.flatnonzero(corrected):
            self.data[address, group] = data[group]
            self.check[address, group] = secded.encode(data[group : group + 1])[0]
        return bool(corrected.any())

    def clear(self) -> None:
        """Set all words to zero."""
        self.data[:] = 0
        self.check[:] = 0
