"""The tables of a trace on the modelled HBM2e memory."""

from dataclasses import asdict
from enum import Enum
from typing import Any

import numpy as np
from openppu.hbm.settings import Refresh

from openppu_sim.cycles.hbm.memory import Memory, Outcome
from openppu_sim.report.table import Cell, format_table

SHARES = (50, 90, 99)
"""Percentiles of the latency."""

CAUSES = {
    "no_request": "no request waits",
    "hold": "what waits, waits for its words to write",
    "refresh": "the banks are being refreshed",
    "turnaround": "the data bus turns between reads and writes",
    "bank_group": "tCCDL: one bank group after itself",
    "activation": "tRRD, tFAW: no further row may be opened yet",
    "bank": "the row is not open yet",
}
"""In words, each of `openppu_sim.cycles.hbm.accounts.IDLE_CAUSES`."""


def choices(kind: Any) -> dict[str, Any]:
    """The members of an enumeration of the settings by their names, as options spell them."""
    return {choice.name.lower(): choice for choice in kind}


def title(memory: Memory) -> str:
    """What was modelled, in a line."""
    settings = memory.settings
    refresh = _word(settings.refresh) + " refresh" if settings.refresh_enable else "no refresh"
    parts = [
        f"{memory.channels} channel{'s' if memory.channels > 1 else ''} of {memory.device.name}, "
        f"{memory.config.height}-high, {memory.peak_gbs:,.1f} GB/s at most: {_word(settings.mapping)} mapping",
        "hashed banks" if settings.hash_banks else "banks not hashed",
        f"{_word(settings.page)} pages",
        refresh,
    ]
    return ", ".join(parts)


def _word(choice: Enum) -> str:
    return choice.name.lower().replace("_", "-" if isinstance(choice, Refresh) else " ")


def latency_figures(outcome: Outcome) -> dict[str, float]:
    """Of the reads, in ns: mean, percentiles, most; empty without reads."""
    latencies = outcome.latencies_ns
    if not len(latencies):
        return {}
    percentiles = np.percentile(latencies, SHARES)
    return {
        "mean": float(latencies.mean()),
        **{f"p{share}": float(value) for share, value in zip(SHARES, percentiles, strict=True)},
        "most": float(latencies.max()),
    }


def figure_table(outcome: Outcome) -> str:
    """Lay out what the trace came to."""
    headers = ["requests", "bytes", "write %", "clocks", "us", "GB/s", "of peak %"]
    requests = outcome.requests
    line: list[Cell] = [
        len(requests),
        outcome.bytes,
        100 * float(requests.size[requests.write].sum()) / outcome.bytes,
        outcome.clocks,
        outcome.seconds * 1e6,
        outcome.gbs,
        100 * outcome.efficiency,
    ]
    return format_table(headers, [line])


def latency_table(outcome: Outcome, unloaded: dict[str, float]) -> str:
    """Lay out the reads' latency, and that of a lone read for comparison."""
    figures = latency_figures(outcome)
    headers = ["ns", *(figures or ("no reads",)), *(f"alone, {name}" for name in unloaded)]
    return format_table(headers, [["reads", *(figures.values() or (None,)), *unloaded.values()]])


def clock_table(outcome: Outcome) -> str:
    """Lay out where the clocks of the data buses went; they add up."""
    accounts = outcome.accounts
    rows: list[list[Cell]] = [
        [name, accounts.events[name], 100 * accounts.events[name] / accounts.clocks, text]
        for name, text in (("reads", "32 bytes each"), ("writes", "32 bytes each"))
    ]
    rows += [
        [name.replace("_", " "), count, 100 * count / accounts.clocks, CAUSES[name]]
        for name, count in accounts.idle.items()
        if count
    ]
    rows.append(["all", accounts.clocks, 100.0, "clocks of all pseudo-channels"])
    return format_table(["clocks of the data bus", "count", "share %", "what it is"], rows)


def command_table(outcome: Outcome) -> str:
    """Lay out what the accesses met, and the commands."""
    events = outcome.accounts.events
    names = ["row_hits", "row_misses", "row_conflicts", "activates", "precharges", "refreshes", "turnarounds"]
    names += [name for name in ("victims", "retries") if events[name]]
    return format_table([name.replace("_", " ") for name in names], [[events[name] for name in names]])


def record(outcome: Outcome, unloaded: dict[str, float]) -> dict[str, Any]:
    """All figures, for a JSON file."""
    memory = outcome.memory
    settings = {
        name: value.name.lower() if isinstance(value, Enum) else value
        for name, value in asdict(memory.settings).items()
    }
    return {
        "device": memory.device.name,
        "channels": memory.channels,
        "config": asdict(memory.config),
        "settings": settings,
        "requests": len(outcome.requests),
        "bytes": outcome.bytes,
        "clocks": outcome.clocks,
        "seconds": outcome.seconds,
        "gbs": outcome.gbs,
        "peak_gbs": memory.peak_gbs,
        "efficiency": outcome.efficiency,
        "read_latency_ns": latency_figures(outcome),
        "unloaded_ns": unloaded,
        "accounts": outcome.accounts.record(),
        "accesses_by_channel": [account.accesses for account in outcome.channels],
    }
