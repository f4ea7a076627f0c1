"""The device model: data at their exact time, state, power, initialisation, faults by call."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.hbm.device import DEVICES, Timing, device, organisation
from openppu_verif.hbm.device import ColumnSlot, Device, Drive, RowSlot, Word, column_slot, row_slot
from openppu_verif.hbm.mode_rules import Driven, obeyed

T = device("HBM2E_3200").timing
ALL = 0xFFFFFFFF


def pattern(seed: int) -> Word:
    """A word of random data and check bytes."""
    raw = np.random.default_rng(seed).integers(0, 256, 36, dtype=np.uint8).tobytes()
    return Word.from_buffer_copy(raw)


class Bus:
    """Drives a device: commands at given clocks, and notes what comes back."""

    def __init__(self, build_root: Path, timing: Timing = T, driven: Driven | None = None, initialised: bool = True):
        self.timing = timing
        self.device = Device(
            organisation(8), build_root, driven=(driven or Driven(timing=timing)) if initialised else None
        )
        self.clock = 0
        self.up = initialised
        self.words: dict[tuple[int, int], tuple[Word, int]] = {}  # clock, PC: word, mask
        self.reads: list[tuple[int, int, bytes]] = []  # clock, PC, word
        self.alarms: list[int] = []
        self.lost = 0

    def tick(
        self,
        rows: Mapping[int, RowSlot] | None = None,
        columns: Mapping[int, ColumnSlot] | None = None,
        clocks: int = 1,
        *,
        cke: bool = True,
    ) -> None:
        """Commands in this clock, by slot; then idle clocks."""
        for n in range(clocks):
            drive = Drive(reset_n=self.up, cke=self.up and cke)
            for slot, row in (rows or {}).items() if n == 0 else ():
                drive.row[slot] = row
            for slot, column in (columns or {}).items() if n == 0 else ():
                drive.column[slot] = column
            for pc in (0, 1):
                word, mask = self.words.pop((self.clock, pc), (None, 0))
                drive.write_valid[pc], drive.write_mask[pc] = word is not None, mask
                if word is not None:
                    drive.write[pc] = word
            sense = self.device.sense
            for pc in (0, 1):
                if sense.read_valid[pc]:
                    self.reads.append((self.clock, pc, bytes(sense.read[pc])))
            if sense.address_error:
                self.alarms.append(self.clock)
            self.lost |= self.device.clock(drive)
            self.clock += 1

    def activate(self, pc: int, bank: int, row: int) -> None:
        self.tick({0: row_slot("ACT", pc, bank, row)}, clocks=20)

    def write(self, pc: int, bank: int, column: int, word: Word, mask: int = ALL, command: str = "WR") -> None:
        self.words[self.clock + self.timing.WL // 2, pc] = (word, mask)
        self.tick(columns={pc: column_slot(command, bank, column)}, clocks=20)

    def read(self, pc: int, bank: int, column: int, command: str = "RD") -> tuple[int, bytes]:
        """Clocks from the command to its word, and the word."""
        start = self.clock
        self.tick(columns={pc: column_slot(command, bank, column)}, clocks=40)
        (clock, from_pc, word), *rest = self.reads
        assert from_pc == pc
        assert not rest
        self.reads.clear()
        return clock - start, word


@pytest.fixture
def bus(build_root: Path) -> Bus:
    return Bus(build_root)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("pc", [0, 1])
def test_written_words_come_back_at_the_read_latency(name: str, pc: int, build_root: Path) -> None:
    timing = device(name).timing
    bus = Bus(build_root, timing)
    bus.activate(pc, 17, 321)
    bus.write(pc, 17, 5, pattern(1))
    bus.write(pc, 17, 31, pattern(2))
    clocks = math.ceil((pc + timing.RL + 2) / 2)
    assert bus.read(pc, 17, 5) == (clocks, bytes(pattern(1)))
    assert bus.read(pc, 17, 31) == (clocks, bytes(pattern(2)))
    assert not bus.device.problems


def test_words_flow_in_every_clock_on_both_pcs(bus: Bus) -> None:
    for pc in (0, 1):
        bus.activate(pc, 0, 7)
    for column in range(32):
        for pc in (0, 1):
            bus.words[bus.clock + T.WL // 2, pc] = (pattern(100 * pc + column), ALL)
        bus.tick(columns={pc: column_slot("WR", 0, column) for pc in (0, 1)})
    bus.tick(clocks=20)
    for column in range(32):
        bus.tick(columns={pc: column_slot("RD", 0, column) for pc in (0, 1)})
    bus.tick(clocks=20)
    first = bus.reads[0][0]
    assert bus.reads == [(first + n // 2, n % 2, bytes(pattern(100 * (n % 2) + n // 2))) for n in range(64)]
    assert not bus.device.problems


def test_rows_banks_and_pcs_are_apart_and_untouched_memory_is_zero(bus: Bus) -> None:
    places = [(0, 0, 0), (0, 0, 1), (0, 31, 0), (1, 0, 0), (1, 31, 32767)]
    for n, (pc, bank, row) in enumerate(places):
        bus.activate(pc, bank, row)
        bus.write(pc, bank, 3, pattern(n), command="WRA")
    for n, (pc, bank, row) in enumerate(places):
        bus.activate(pc, bank, row)
        assert bus.read(pc, bank, 3)[1] == bytes(pattern(n))
        assert bus.read(pc, bank, 4, "RDA")[1] == bytes(36)
    assert bus.device.pages == len(places)
    assert not bus.device.problems


def test_masked_bytes_keep_their_value(build_root: Path) -> None:
    bus = Bus(build_root, driven=Driven(timing=T, ecc=False))
    bus.activate(0, 2, 9)
    bus.write(0, 2, 0, pattern(1))
    bus.write(0, 2, 0, pattern(2), mask=0x0000FF01)
    old, new = bytes(pattern(1)), bytes(pattern(2))
    expected = bytes(new[i] if i == 0 or 8 <= i < 16 else old[i] for i in range(32))
    assert bus.read(0, 2, 0)[1] == expected + bytes(4), "the mask's wires carry no check bits"
    assert not bus.device.problems


def test_a_mask_is_told_where_its_wires_carry_check_bits(bus: Bus) -> None:
    bus.activate(0, 2, 9)
    bus.write(0, 2, 0, pattern(1), mask=0xFF)
    assert "a masked word to PC 0: masks are off" in bus.device.problems[0]
    assert bus.read(0, 2, 0)[1] == bytes(pattern(1))


@pytest.mark.parametrize(("rl", "wl"), [(2, 4), (33, 8), (34, 9), (37, 10), (63, 16)])
def test_data_come_and_go_by_the_latencies_in_the_mode_registers(rl: int, wl: int, build_root: Path) -> None:
    timing = replace(T, RL=rl, WL=wl, tRTW=80)
    bus = Bus(build_root, timing, initialised=False)
    bus.up = True
    for number, value in enumerate(obeyed(Driven(timing=timing))):
        bus.tick(columns={0: column_slot("MRS", number, operand=value)})
    bus.activate(1, 2, 9)
    bus.write(1, 2, 3, pattern(1))
    assert bus.read(1, 2, 3) == (math.ceil((1 + rl + 2) / 2), bytes(pattern(1)))
    assert not bus.device.problems


def test_without_parity_nothing_is_lost(build_root: Path) -> None:
    bus = Bus(build_root, driven=Driven(timing=T, parity=False))
    bus.device.spoil_command(column_bus=False)
    bus.activate(0, 1, 2)
    assert (bus.lost, bus.alarms, bus.device.is_open(0, 1)) == (0, [], True)


def test_memory_is_loaded_and_dumped_without_the_bus(bus: Bus) -> None:
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, (100, 32), dtype=np.uint8)
    check = rng.integers(0, 256, (100, 4), dtype=np.uint8)
    bus.device.load(1, 30, 1000, 20, data, check)
    got_data, got_check = bus.device.dump(1, 30, 1000, 20, 100)
    assert np.array_equal(got_data, data)
    assert np.array_equal(got_check, check)
    bus.activate(1, 30, 1001)
    assert bus.read(1, 30, 0)[1] == data[12].tobytes() + check[12].tobytes()
    bus.device.erase()
    assert bus.device.pages == 0
    with pytest.raises(ValueError, match="not all within"):
        bus.device.dump(1, 30, 32767, 20, 13)
    with pytest.raises(ValueError, match="give"):
        bus.device.load(0, 0, 0, 0, data, check[:, :3])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda d: d.load(0, 0, 0, 0, np.full((1, 32), 300), np.zeros((1, 4), np.uint8)), "int64: give bytes"),
        (lambda d: d.load(0, 0, 0, 0, np.full((1, 32), 0.5), np.zeros((1, 4), np.uint8)), "float64: give bytes"),
        (lambda d: d.load(0, 0, 0, 0, np.uint8(1), np.uint8(1)), r"give \(n, 32\) and \(n, 4\)"),
        (lambda d: d.dump(0, 0, -1, 32, 1), "row -1, column 32 on: they are not all within"),
        (lambda d: d.dump(0, 0, 0, 32, 1), "column 32"),
        (lambda d: d.dump(0, 0, 0, 0, -1), "-1 words"),
        (lambda d: d.flip_bit(2, 0, 0, 0, 0), "PC 2"),
        (lambda d: d.flip_bit(0, 0, 0, 0, 288), "bit 288: give one from 0 to 287"),
        (lambda d: d.stick_bit(0, 32, 0, 0, 0, True), "bank 32"),
        (lambda d: d.stick_bit(0, 0, 32768, 0, 0, True), "row 32768"),
        (lambda d: d.stick_bit(0, 0, 0, 0, -1, True), "bit -1"),
        (lambda d: d.flip_reads(0, {288}), "bit 288"),
        (lambda d: d.flip_lane(0, 9), "lane 9: give one from 0 to 8"),
        (lambda d: d.lose_strobes(5), "pc 5: give one from 0 to 1"),
        (lambda d: d.lose_strobes(0, skip=-1), "skip -1"),
        (lambda d: d.spoil_command(column_bus=True, skip=-1), "skip -1"),
        (lambda d: d.signals(temperature=8), "temperature 8: give one from 0 to 7"),
        (lambda d: d.mode_register(16), "number 16"),
        (lambda d: d.is_open(0, 999), "bank 999"),
    ],
)
def test_a_call_that_has_no_meaning_is_refused(call: Callable[[Device], object], told: str, bus: Bus) -> None:
    with pytest.raises(ValueError, match=told):
        call(bus.device)
    assert bus.device.pages == 0


def test_commands_that_cannot_be_obeyed_are_reported(build_root: Path) -> None:
    cases = [
        (lambda b: b.tick(columns={0: column_slot("RD", 3)}), "RD of PC 0 bank 3: no row is open"),
        (lambda b: b.write(1, 3, 0, pattern(1)), "WR of PC 1 bank 3: no row is open"),
        (lambda b: (b.activate(0, 3, 1), b.activate(0, 3, 2)), "ACT of PC 0 bank 3: a row is open"),
        (lambda b: (b.activate(0, 3, 1), b.tick({1: row_slot("REFSB", 0, 3)})), "REFSB of PC 0 bank 3: a row is open"),
        (lambda b: (b.activate(1, 3, 1), b.tick({1: row_slot("REF", 1)})), "REF of PC 1: a row is open"),
        (lambda b: (b.activate(1, 3, 1), b.tick({1: row_slot("SRE")}, cke=False)), "SRE: a row is open"),
        (lambda b: b.activate(0, 63, 1), "ACT of PC 0 bank 63: there is no such bank"),
        (
            lambda b: b.tick({0: row_slot("PDE"), 1: row_slot("ACT", 0, 3, 1)}, cke=False),
            "ACT between PDE and its exit",
        ),
        (lambda b: b.tick({1: row_slot("PDE")}), "CKE is high after PDE"),
        (lambda b: (b.tick({1: row_slot("SRE")}, cke=False), b.tick()), "CKE is high after SRE"),
        (lambda b: b.tick({0: row_slot("PDE"), 1: row_slot("PDX")}, cke=False), "PDX with CKE low"),
        (lambda b: b.tick({0: row_slot("SRX")}), "SRX without SRE"),
        (lambda b: (b.activate(0, 3, 1), b.tick(columns={0: column_slot("WR", 3)}, clocks=9)), "of PC 0 is missing"),
        (lambda b: (b.words.update({(0, 1): (pattern(1), ALL)}), b.tick()), "PC 1 without its command"),
    ]
    for act, message in cases:
        bus = Bus(build_root)
        act(bus)
        assert [message in problem for problem in bus.device.problems] == [True], (message, bus.device.problems)


def test_precharges_close_rows(bus: Bus) -> None:
    for bank in (1, 2, 3):
        bus.activate(0, bank, 5)
    bus.tick({1: row_slot("PRE", 0, 1)})
    assert [bus.device.is_open(0, bank) for bank in (1, 2, 3)] == [False, True, True]
    bus.tick({1: row_slot("PREA", 0)})
    assert not any(bus.device.is_open(0, bank) for bank in range(32))


def test_memory_survives_power_down_and_self_refresh(bus: Bus) -> None:
    bus.activate(0, 1, 2)
    bus.write(0, 1, 3, pattern(1), command="WRA")
    for entry, leave in (("PDE", "PDX"), ("SRE", "SRX")):
        bus.tick({0: row_slot(entry)}, clocks=20, cke=False)
        bus.tick({1: row_slot(leave)}, clocks=20)
        bus.activate(0, 1, 2)
        assert bus.read(0, 1, 3, "RDA")[1] == bytes(pattern(1))
    assert not bus.device.problems


def test_initialisation_is_asked_for(build_root: Path) -> None:
    bus = Bus(build_root, initialised=False)
    bus.tick({0: row_slot("ACT", 0, 0, 0)})
    assert "ACT in reset" in bus.device.problems[0]
    bus.up = True
    bus.tick({0: row_slot("ACT", 0, 0, 0)})
    assert "before the mode registers are set" in bus.device.problems[1]
    assert not bus.device.sense.init_complete
    bus.device.clock(Drive(reset_n=1, cke=1, init_start=1))
    for _ in range(16):
        assert not bus.device.sense.init_complete
        bus.tick()
    assert bus.device.sense.init_complete
    bus.tick(columns={1: column_slot("MRS", 2, operand=0x5A)})
    assert bus.device.mode_register(2) == 0x5A
    bus.activate(0, 0, 0)
    assert len(bus.device.problems) == 2


def flipped(word: bytes, *bits: int) -> bytes:
    changed = bytearray(word)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_stored_and_stuck_bits(bus: Bus) -> None:
    bus.activate(0, 1, 2)
    bus.write(0, 1, 3, pattern(1))
    for bit in (0, 255, 256, 287):
        bus.device.flip_bit(0, 1, 2, 3, bit)
        assert bus.read(0, 1, 3)[1] == flipped(bytes(pattern(1)), bit)
        bus.device.flip_bit(0, 1, 2, 3, bit)
    bus.device.stick_bit(0, 1, 2, 3, 77, True)
    bus.device.stick_bit(0, 1, 2, 3, 280, False)
    for seed in range(4):
        bus.write(0, 1, 3, pattern(seed))
        word = bus.read(0, 1, 3)[1]
        assert word[9] & 32
        assert not word[35] & 1
        assert flipped(
            word, *(b for b in (77, 280) if (word[b // 8] ^ bytes(pattern(seed))[b // 8]) >> b % 8 & 1)
        ) == bytes(pattern(seed))
    bus.device.clear_faults()
    assert bus.read(0, 1, 3)[1] == bytes(pattern(3))


def test_faults_on_the_wires_hit_the_reads_they_are_meant_for(bus: Bus) -> None:
    bus.activate(1, 1, 2)
    bus.write(1, 1, 3, pattern(1))
    word = bytes(pattern(1))
    bus.device.flip_reads(1, {4, 260}, skip=1, count=2)
    bus.device.flip_reads(0, {9})
    assert [bus.read(1, 1, 3)[1] for _ in range(4)] == [word, flipped(word, 4, 260), flipped(word, 4, 260), word]
    bus.device.flip_lane(1, 2)
    assert bus.read(1, 1, 3)[1] == flipped(word, *(64 * beat + 16 + i for beat in range(4) for i in range(8)))
    bus.device.flip_lane(1, 8)
    assert bus.read(1, 1, 3)[1] == flipped(word, *range(256, 288))
    bus.device.lose_strobes(1, skip=1)
    bus.read(1, 1, 3)
    bus.tick(columns={1: column_slot("RD", 1, 3)}, clocks=30)
    assert not bus.reads
    assert bus.read(1, 1, 3)[1] == word


def test_a_command_of_wrong_parity_is_ignored_and_told(bus: Bus) -> None:
    bus.device.spoil_command(column_bus=False, skip=1)
    bus.tick({0: row_slot("ACT", 0, 1, 2)})
    start = bus.clock
    bus.tick({1: row_slot("ACT", 1, 1, 2)}, clocks=20)
    assert bus.lost == 2
    assert bus.alarms == [start + 4]
    assert bus.device.is_open(0, 1)
    assert not bus.device.is_open(1, 1)
    bus.device.spoil_command(column_bus=True)
    bus.write(0, 1, 3, pattern(1))
    assert bus.lost == 2 | 4
    assert bus.read(0, 1, 3)[1] == bytes(36)
    assert not bus.device.problems


def test_signals_reach_the_controller(bus: Bus) -> None:
    assert (bus.device.sense.temperature, bus.device.sense.catastrophic) == (3, 0)
    bus.device.signals(temperature=6, catastrophic=True, update_request=True)
    sense = bus.device.sense
    assert (sense.temperature, sense.catastrophic, sense.update_request) == (6, 1, 1)
