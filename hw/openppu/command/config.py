"""The command processor, as built."""

from dataclasses import dataclass

from openppu.section import Section, option


@dataclass(frozen=True, kw_only=True)
class CommandConfig(Section):
    """Queues of commands and their semaphores.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    SECTION = "command"

    semaphores: int = option("counting semaphores", least=2, most=256, power_of_two=True, default=64)
    buffer: int = option(
        "commands of a queue on the chip: what is between `LOOP` and `END`, with the latter, must fit",
        least=8,
        most=256,
        power_of_two=True,
        default=32,
    )
    in_flight: int = option("commands of a queue that its engine may hold", least=2, most=64, default=8)
    loops: int = option("loops within each other", least=1, most=8, default=4)
