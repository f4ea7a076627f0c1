// Counts ordered pairs of commands by how near their banks are: what the functional coverage of random runs is made of.
//
// With each command of a bank, five others make a pair: the latest in the same bank, in another bank of its group, in
// another group of its SID, in another SID of its pseudo-channel (PC), and in the other PC. With a command of a whole PC
// (PREA, REF) the latest in the other PC does. Commands of a whole PC, or of both, also make a pair with whatever comes
// next to them in a PC.

#ifndef OPENPPU_HBM_COMMAND_PAIRS_H
#define OPENPPU_HBM_COMMAND_PAIRS_H

#include <array>
#include <cstdint>

#include "checker.h"

namespace hbm {

class CommandPairs {
 public:
  enum Relation { SAME_BANK, SAME_GROUP, SAME_SID, SAME_PC, OTHER_PC, NEXT, RELATIONS };
  static constexpr const char* names[RELATIONS] = {"same bank",      "other bank", "other group",
                                                   "other SID", "other PC",   "next"};

  CommandPairs(int banks_per_group, int groups) : banks_per_group_(banks_per_group), groups_(groups) {}

  void command(Command what, int pc, int bank);
  void forget();
  uint64_t count(Relation relation, Command earlier, Command later) const { return counts_[relation][earlier][later]; }

 private:
  // The latest command, and the latest of another part than that one's.
  struct Latest {
    Command what = NOP, other = NOP;
    int part = -1;

    void add(Command now, int where) {
      if (where != part) other = what, part = where;
      what = now;
    }
    Command elsewhere(int where) const { return where != part ? what : other; }
  };

  void pair(Relation relation, Command earlier, Command later) {
    if (earlier != NOP) ++counts_[relation][earlier][later];
  }
  void whole(Command what, int pc);

  int banks_per_group_, groups_;
  std::array<std::array<Command, MOST_BANKS>, PCS> of_bank_{};
  std::array<std::array<Latest, MOST_GROUPS>, PCS> of_group_{};
  std::array<std::array<Latest, MOST_SIDS>, PCS> of_sid_{};
  std::array<Latest, PCS> of_pc_{};
  Latest of_channel_{};
  std::array<Command, PCS> before_{};
  uint64_t counts_[RELATIONS][COMMANDS][COMMANDS] = {};
};

}  // namespace hbm

#endif
