"""Says in words why a trace is slow on the modelled HBM2e memory, and what a change would gain."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from openppu.hbm.settings import Mapping, Page, Refresh

from openppu_sim.cycles.hbm.address import UNIT, Interleave, split
from openppu_sim.cycles.hbm.memory import Memory, Outcome
from openppu_sim.cycles.hbm.requests import ACCESS, Requests
from openppu_sim.report.hbm import choices

WORTH = 0.02
"""Gain below which a change is called none."""

NOTED = 0.08
"""Share of the clocks from which a cause is spoken of."""

SHORT = 1000
"""Controller clocks below which the start and the end of a trace weigh as much as its pattern."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that could be done differently, in words, and the run that shows what it gives."""

    text: str
    requests: Requests
    memory: Memory


def changes(requests: Requests, memory: Memory) -> Iterator[Change]:
    """What could be tried for a trace, each alone but for mapping and hash, which go together too."""
    settings = memory.settings
    name, other = next(item for item in choices(Mapping).items() if item[1] != settings.mapping)

    def setting(text: str, **values: object) -> Change:
        changed = replace(settings, **values)  # type: ignore[arg-type]
        return Change(text=text, requests=requests, memory=replace(memory, settings=changed))

    yield setting(f"the other mapping: --mapping {name}", mapping=other)
    if not settings.hash_banks:
        yield setting("hash the banks: --hash", hash_banks=True)
        yield setting(f"both: --mapping {name} --hash", mapping=other, hash_banks=True)
    else:
        yield setting("do not hash the banks: --no-hash", hash_banks=False)
    for word, page in choices(Page).items():
        if page != settings.page:
            yield setting(f"{word} pages: --page {word}", page=page)
    if settings.refresh == Refresh.ALL_BANK and settings.refresh_enable:
        yield setting("refresh bank by bank: --refresh single-bank", refresh=Refresh.SINGLE_BANK)
    joined = join(requests)
    if len(joined) < 0.9 * len(requests):
        yield Change(
            text=f"join neighbouring requests: {joined.size.mean():.0f} bytes each, not {requests.size.mean():.0f}",
            requests=joined,
            memory=memory,
        )
    if 0.02 < requests.write.mean() < 0.98 and requests.arrival is None:
        yield Change(text="make reads and writes in turns of 512 each", requests=batch(requests), memory=memory)
    if requests.arrival is not None:
        yield Change(
            text="make the requests as fast as they are taken", requests=replace(requests, arrival=None), memory=memory
        )


def join(requests: Requests, most: int = UNIT) -> Requests:
    """Requests in which neighbours that follow each other, within ``most`` aligned bytes, are one."""
    address, size, write = requests.address, requests.size, requests.write
    follows = np.zeros(len(requests), bool)
    follows[1:] = (
        (address[1:] == (address + size)[:-1])
        & (write[1:] == write[:-1])
        & (address[1:] // most == address[:-1] // most)
    )
    starts = np.flatnonzero(~follows)
    arrival = None if requests.arrival is None else requests.arrival[starts]
    return Requests(address[starts], np.add.reduceat(size, starts), write[starts], arrival)


def batch(requests: Requests, count: int = 512) -> Requests:
    """The reads and the writes of each ``2 * count`` requests, the reads first."""
    block = np.arange(len(requests)) // (2 * count)
    return requests.take(np.lexsort((requests.write, block)))


def reasons(outcome: Outcome) -> list[str]:
    """Why it is not faster: a sentence for each cause that took a good part of the clocks, the largest first."""
    accounts, memory = outcome.accounts, outcome.memory
    shares = {cause: count / accounts.clocks for cause, count in accounts.idle.items()}
    found = [_WORDS[cause] for cause, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= NOTED]
    facts = _Facts(outcome)
    texts = [word.format(share=f"{100 * shares[cause]:.0f} %", f=facts) for cause, word in _named(found)]
    if facts.crowd:
        texts.append(facts.crowd)
    if facts.merges:
        texts.append(facts.merges)
    texts += [text for name, text in _GUARDS.items() if accounts.events[name]]
    if outcome.clocks < SHORT:
        texts.append(
            f"The trace is over after {outcome.clocks} clocks: the first rows, the last words and a refresh that falls "
            "between them weigh as much as its pattern; a longer one says more."
        )
    if not texts:
        texts.append(
            f"The data buses move data in {100 * accounts.accesses / accounts.clocks:.0f} % of the clocks: "
            f"there is little to gain below {memory.peak_gbs:,.1f} GB/s."
        )
    return texts


def _named(words: list[str]) -> list[tuple[str, str]]:
    return [(next(cause for cause, text in _WORDS.items() if text is word), word) for word in words]


_WORDS = {
    "no_request": "In {share} of the clocks a pseudo-channel had no request: {f.idle_why}",
    "hold": "In {share} of the clocks all that waited was writes whose words, or old words, were not there yet.",
    "refresh": "In {share} of the clocks all that waited was for banks in refresh: {f.refresh_why}",
    "turnaround": "In {share} of the clocks the data bus was turning between reads and writes: {f.turns} times, after "
    "{f.batch:.0f} accesses on average. Longer runs of reads and of writes turn it less often.",
    "bank_group": "In {share} of the clocks the rows were open, but in a bank group that had just been used: it takes "
    "an access each {f.t.tCCDL} memory clocks (tCCDL), and the bus could take one each 2. Accesses that follow each "
    "other should lie in different bank groups.",
    "activation": "In {share} of the clocks no further row might be opened: tRRD and tFAW allow an activation each "
    "{f.spacing:g} memory clocks, and each served {f.per_row:.1f} accesses: at most {f.bound:.0f} % of the peak. "
    "Larger requests, or an order that stays in a row, use a row for more.",
    "bank": "In {share} of the clocks the rows that were wanted were not open: a bank takes {f.cycle_ns:.1f} ns (tRC) "
    "from one row to the next, and a row served {f.per_row:.1f} accesses.",
}


_GUARDS = {
    "victims": "Rows were hammered: their neighbours were refreshed, and meanwhile their banks served nobody (counted "
    "as refresh). Requests that come back to a few rows should find them open: --page open.",
    "retries": "Commands had wrong parity, and were sent again: each time a channel stands still for about 100 clocks "
    "(counted as refresh).",
}
"""What the events of guards mean."""


class _Facts:
    """What the sentences name."""

    def __init__(self, outcome: Outcome) -> None:
        accounts, memory = outcome.accounts, outcome.memory
        self.t = memory.settings.timing
        events = accounts.events
        self.turns = f"{events['turnarounds']:,}"
        self.batch = accounts.accesses / max(1, events["turnarounds"])
        self.spacing = max(self.t.tRRDS, self.t.tFAW / 4)
        self.per_row = accounts.accesses / max(1, events["activates"])
        self.bound = 100 * min(1.0, 2 * self.per_row / self.spacing)
        self.cycle_ns = self.t.tRC * memory.clock_ns / 2
        self.refresh_why = (
            "an all-bank refresh stops everything; bank by bank, others go on."
            if memory.settings.refresh == Refresh.ALL_BANK
            else "the trace needs few banks at a time."
        )
        channel, pc, bank = _places(outcome.requests, memory)
        per_pc = np.bincount(2 * channel + pc, minlength=2 * memory.channels)
        if outcome.requests.arrival is not None and per_pc.max() < 1.5 * per_pc.mean():
            self.idle_why = "the trace does not ask for more at its times."
        elif per_pc.max() > 1.2 * per_pc.mean():
            self.idle_why = (
                f"the busiest of {len(per_pc)} pseudo-channels has {100 * per_pc.max() / per_pc.sum():.0f} % of the "
                "accesses, and the others wait for it."
            )
        else:
            self.idle_why = (
                "the trace is short, or its requests wait for each other (a write and what follows in its 256 bytes)."
            )
        per_bank = np.bincount(
            bank[(channel == channel[0]) & (pc == pc[0])], minlength=memory.config.organisation.banks
        )
        top = np.sort(per_bank)[::-1]
        few = min(4, int((per_bank > 0).sum()))
        self.crowd = ""
        if len(per_bank) >= 16 and per_bank.sum() >= 64 and top[:few].sum() > 0.5 * per_bank.sum():
            self.crowd = (
                f"{100 * top[:few].sum() / per_bank.sum():.0f} % of a pseudo-channel's accesses are to {few} of its "
                f"{len(per_bank)} banks: another mapping, or hashed banks, may spread them."
            )
        requests = outcome.requests
        ragged = requests.write & ((requests.address % ACCESS != 0) | (requests.size % ACCESS != 0))
        self.merges = ""
        if memory.config.ecc != "none" and ragged.any():
            self.merges = (
                f"{100 * ragged.sum() / requests.write.sum():.0f} % of the writes cover a part of {ACCESS} aligned "
                "bytes: with ECC each reads the old bytes first. Align them, or write whole words."
            )


def _places(requests: Requests, memory: Memory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Channel, pseudo-channel and bank of the first access of each 256 bytes of each request."""
    first = requests.address // UNIT
    counts = (requests.address + requests.size - 1) // UNIT - first + 1
    units = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    channel, local = Interleave(memory.channels).locate(units * UNIT)
    places = split(local // ACCESS, memory.config, memory.settings)
    return channel, places.pc, places.bank
