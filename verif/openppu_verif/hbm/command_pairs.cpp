#include "command_pairs.h"

namespace hbm {

namespace {

bool of_a_bank(Command what) {
  return what == ACT || what == PRE || what == REFSB || what == RD || what == RDA || what == WR || what == WRA;
}

}  // namespace

// A command that concerns all banks of a PC: what came to a single one before says nothing any more.
void CommandPairs::whole(Command what, int pc) {
  pair(NEXT, before_[pc], what);
  of_bank_[pc].fill(NOP);
  before_[pc] = what;
}

void CommandPairs::command(Command what, int pc, int bank) {
  if (what == NOP || (of_a_bank(what) && bank >= MOST_BANKS)) return;
  if (what == PREA || what == REF) {
    pair(OTHER_PC, of_channel_.elsewhere(pc), what);
    of_channel_.add(what, pc);
    return whole(what, pc);
  }
  if (!of_a_bank(what)) {
    for (int each = 0; each < PCS; ++each) whole(what, each);
    return;
  }
  const int group = bank / banks_per_group_, sid = group / groups_;
  pair(SAME_BANK, of_bank_[pc][bank], what);
  pair(SAME_GROUP, of_group_[pc][group].elsewhere(bank), what);
  pair(SAME_SID, of_sid_[pc][sid].elsewhere(group), what);
  pair(SAME_PC, of_pc_[pc].elsewhere(sid), what);
  pair(OTHER_PC, of_channel_.elsewhere(pc), what);
  if (!of_a_bank(before_[pc])) pair(NEXT, before_[pc], what);
  of_bank_[pc][bank] = what;
  of_group_[pc][group].add(what, bank);
  of_sid_[pc][sid].add(what, group);
  of_pc_[pc].add(what, sid);
  of_channel_.add(what, pc);
  before_[pc] = what;
}

void CommandPairs::forget() {
  for (int pc = 0; pc < PCS; ++pc) {
    of_bank_[pc].fill(NOP);
    of_group_[pc].fill({});
    of_sid_[pc].fill({});
  }
  of_pc_.fill({}), of_channel_ = {}, before_.fill(NOP);
}

}  // namespace hbm
