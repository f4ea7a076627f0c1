"""The banks of a pseudo-channel, and the distances between its commands, as times in memory clocks (CK)."""

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST, Timing


class Banks:
    """From when on each command is allowed, by the rules of ``docs/hbm.md``.

    Attributes
    ----------
    row : list of int
        Of each bank, the row that is open or opening, or -1.
    act_at, rd_at, wr_at, pre_at : list of int
        CK from which on each bank, by its own rules, may get that command; a REFSB as an ACT.
    refreshed_until : list of int
        CK at which the bank's last refresh ends.
    keep : list of int
        Two bits of experience: at least 2 if the next activation would be of the same row.
    first, missed : list of bool
        No access since the activation; that followed a close since another row was wanted.
    group : list of int
        The bank group of each bank, groups of other SIDs counted apart.
    column_at, read_at, row_at : list of int
        CK from which on each group may get a column command, a read after the writes, an ACT by tRRDL.
    write_at, space_at, rest_at : int
        CK from which on writes may follow the reads; ACT and REFSB the last of these; any row command the last REF.
    window : list of int
        CK of the last four ACT, the oldest first.
    lets_it_pass : bool
        Accesses to another SID could keep one off for ever.
    """

    def __init__(self, config: ChannelConfig, timing: Timing) -> None:
        of = config.organisation
        self.timing = timing
        self.count = of.banks
        self.groups = of.sids * of.bank_groups
        self.groups_of_sid = of.bank_groups
        self.group = [bank // of.banks_per_group for bank in range(of.banks)]
        self.row = [-1] * of.banks
        self.last_row = [0] * of.banks
        self.act_at = [0] * of.banks
        self.rd_at = [0] * of.banks
        self.wr_at = [0] * of.banks
        self.pre_at = [0] * of.banks
        self.refreshed_until = [-1] * of.banks
        self.keep = [2] * of.banks
        self.first = [False] * of.banks
        self.missed = [False] * of.banks
        self.contended = [False] * of.banks
        self.column_at = [0] * self.groups
        self.read_at = [0] * self.groups
        self.row_at = [0] * self.groups
        self.write_at = 0
        self.space_at = 0
        self.rest_at = 0
        self.window = [-timing.tFAW] * 4
        self.lets_it_pass = of.sids > 1 and timing.tCCDR > timing.tCCDS
        self.wr_pre = timing.WL + BURST + timing.tWR
        self.wr_rd_far = timing.WL + BURST + timing.tWTRS
        self.wr_rd_near = timing.WL + BURST + timing.tWTRL

    def activate(self, bank: int, row: int, ck: int) -> None:
        """ACT."""
        t = self.timing
        self.row[bank] = row
        self.act_at[bank] = max(self.act_at[bank], ck + t.tRC)
        self.rd_at[bank] = ck + t.tRCDRD + 1
        self.wr_at[bank] = ck + t.tRCDWR + 1
        self.pre_at[bank] = ck + t.tRAS + 1
        self.space_at = max(self.space_at, ck + t.tRRDS)
        group = self.group[bank]
        self.row_at[group] = max(self.row_at[group], ck + t.tRRDL)
        self.window = [*self.window[1:], ck]
        trust = self.keep[bank]
        self.keep[bank] = min(3, trust + 1) if self.last_row[bank] == row else max(0, trust - 1)
        self.last_row[bank] = row
        self.first[bank] = True
        self.missed[bank] = self.contended[bank]

    def access(self, bank: int, ck: int, *, write: bool, auto: bool, contended: bool) -> None:
        """RD or WR; with ``auto``, RDA or WRA."""
        t = self.timing
        self.pre_at[bank] = max(self.pre_at[bank], ck + (self.wr_pre if write else t.tRTP))
        if auto:
            self.act_at[bank] = max(self.act_at[bank], ck + (self.wr_pre if write else t.tRTP) + t.tRP)
            self.row[bank] = -1
            self.contended[bank] = contended
        self.first[bank] = False
        group = self.group[bank]
        if self.groups == self.groups_of_sid and t.tCCDS == BURST:
            self.column_at[group] = ck + t.tCCDL
        else:
            sid = group // self.groups_of_sid
            for other in range(self.groups):
                space = t.tCCDS if other // self.groups_of_sid == sid else t.tCCDR
                if self.column_at[other] < ck + space:
                    self.column_at[other] = ck + space
            self.column_at[group] = ck + t.tCCDL
        if write:
            read_at = ck + self.wr_rd_far
            for other in range(self.groups):
                if self.read_at[other] < read_at:
                    self.read_at[other] = read_at
            self.read_at[group] = max(self.read_at[group], ck + self.wr_rd_near)
        else:
            self.write_at = ck + t.tRTW

    def precharge(self, bank: int, ck: int, *, contended: bool) -> None:
        """PRE."""
        self.act_at[bank] = max(self.act_at[bank], ck + self.timing.tRP)
        self.row[bank] = -1
        self.contended[bank] = contended

    def refresh(self, bank: int, ck: int) -> None:
        """REFSB."""
        self.act_at[bank] = max(self.act_at[bank], ck + self.timing.tRFCSB)
        self.refreshed_until[bank] = self.act_at[bank]
        self.space_at = max(self.space_at, ck + self.timing.tRREFD)

    def refresh_all(self, ck: int) -> None:
        """REF."""
        self.rest_at = ck + self.timing.tRFC
