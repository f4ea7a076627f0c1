"""Collectives over the link as commands of the link's queue."""

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction
from openppu.link.collective.plan import Job, plan
from openppu.link.collective.wiring import Wiring
from openppu.link.unit.instructions import COLLECTIVE

from openppu_sim.program.command import Command


def collective_programs(
    job: Job, wiring: Wiring, config: CollectiveConfig, algorithm: str = "auto"
) -> list[list[Command]]:
    """The commands of each rank's link queue; the last one has ended when the rank has its result.

    Parameters
    ----------
    job : Job
        Its addresses are those of the chips' memory, the same on all.
    wiring : Wiring
    config : CollectiveConfig
    algorithm : str
        As of `openppu.link.collective.plan.plan`.
    """
    made = plan(job, wiring, config, algorithm)
    return [[command_of(each) for each in program] for program in made.programs]


def command_of(instruction: Instruction) -> Command:
    """The command of the link's queue for an instruction of a collective program."""
    bits = instruction.bits
    fields = {str(name): bits >> place.offset & ((1 << place.width) - 1) for name, place in COLLECTIVE.layout}
    return Command(name=COLLECTIVE.name, fields={name: value for name, value in fields.items() if value})
