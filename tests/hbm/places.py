"""Where an address lies, by division, as `docs/hbm.md` says."""

from openppu.hbm.settings import Mapping

ORDER = {
    Mapping.INTERLEAVED: ("row", "upper", "sid", "bank", "group", "pc", "lower"),
    Mapping.COLUMN_LOWEST: ("row", "sid", "group", "bank", "upper", "pc", "lower"),
}
"""From the top bit down."""


def split(address: int, height: int, mapping: Mapping, hash_banks: bool) -> tuple[int, dict[str, int]]:
    """PC and place of an address."""
    radix = {"row": 32768, "upper": 4, "sid": 2 if height == 8 else 1, "bank": 4, "group": 4, "pc": 2, "lower": 8}
    field = {}
    for name in reversed(ORDER[mapping]):
        address, field[name] = divmod(address, radix[name])
    if height == 12:
        field["sid"] = address
    if hash_banks:
        row = field["row"]
        field["group"] ^= row % 4 ^ field["upper"]
        field["bank"] ^= row // 4 % 4
        if height == 8:
            field["sid"] ^= row // 16 % 2
    bank = field["sid"] * 16 + field["group"] * 4 + field["bank"]
    return field["pc"], {"row": field["row"], "bank": bank, "column": field["upper"] * 8 + field["lower"]}
