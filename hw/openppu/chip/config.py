"""The clocks of a chip, as built."""

from dataclasses import dataclass

from openppu.section import Section, option


@dataclass(frozen=True, kw_only=True)
class ClocksConfig(Section):
    """Clock domains.

    Raises
    ------
    ConfigError
        If a value is none of those allowed.
    """

    SECTION = "clocks"

    domains: str = option(
        "`one`: a clock for the whole chip, whose cycles can be predicted exactly; `separate`: the memory controllers "
        "and the link have clocks of their own, whose rates follow from `hbm.device` and the lanes",
        choices=("one", "separate"),
        default="one",
    )

    @property
    def separate(self) -> bool:
        """Whether there are several."""
        return self.domains == "separate"
