// Checks a channel's commands against the device's rules (docs/hbm.md), one memory clock (CK) after the other.
//
// The pair rules come from the table of constraints.py; bank state, power, initialisation and refresh are written here.
// It knows neither the controller nor the device model. Of the pair rules that a command breaks, only the one that it
// breaks by most is counted; whatever is broken, the command then counts as obeyed. The mode registers are held to the
// table's values when the first command follows that sets none.

#ifndef OPENPPU_HBM_CHECKER_H
#define OPENPPU_HBM_CHECKER_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace hbm {

enum Command : uint8_t { NOP, ACT, PRE, PREA, REFSB, REF, PDE, PDX, SRE, SRX, RD, RDA, WR, WRA, MRS, COMMANDS };
extern const char* const command_names[COMMANDS];

enum Level : uint8_t { BANK, GROUP, SID, OTHER_SID, OTHER_BANK, PC, CHANNEL };

enum StateRule : uint16_t {
  ACTIVATE_OPEN_BANK,  // ACT of an open bank
  REFRESH_OPEN_BANK,   // REFSB of an open bank, REF with one open
  COLUMN_CLOSED_BANK,  // RD or WR without an open row
  IDLE_OPEN_BANK,      // SRE or MRS with a bank open
  ASLEEP,              // a command other than the exit in power-down or self-refresh
  EXIT_AWAKE,          // an exit without its entry
  IN_RESET,            // a command with reset_n low
  CKE_LOW,             // a command with CKE low
  UNINITIALISED,       // a command before the first MRS
  NO_SUCH_BANK,
  REFRESH_ROUND,    // a bank twice in a round
  REFRESH_AHEAD,    // more than eight tREFI worth in advance
  REFRESH_OVERDUE,  // more than eight tREFI worth owed
  STATE_RULES
};
extern const char* const state_rule_names[STATE_RULES];

constexpr int PCS = 2;
constexpr int MOST_BANKS = 64, MOST_GROUPS = 16, MOST_SIDS = 4;
constexpr int MOST_WINDOW = 8;
constexpr int64_t LONG_AGO = INT64_MIN / 2;

struct Rule {
  std::string name;
  Level level;
  int64_t latency;
  int window;
  uint32_t preceding;  // a bit a command
  uint32_t following;
};

// What a field of the mode registers must hold.
struct Mode {
  std::string name;
  int first = 0, code = 0;  // the value of code 0, and the code
  std::vector<int> places;  // of its bits, from the lowest up: 8 x register + bit
};

struct Table {
  int sids = 0, groups = 0, banks_per_group = 0;
  int64_t refresh_interval = 0;
  std::vector<Rule> rules;
  std::vector<Mode> modes;

  explicit Table(const std::string& text);  // of constraints.py; throws std::runtime_error
  int banks() const { return sids * groups * banks_per_group; }
};

struct Violation {
  int64_t ck;
  int32_t rule;  // of the table; behind those, a StateRule; behind those, a Mode
  uint8_t command, pc, bank;
  uint8_t earlier_command, earlier_pc, earlier_bank;  // the other of the pair; NOP where there is none
  int64_t earlier_ck;
  int64_t allowed_from;
  int held = 0, wanted = 0;  // of a Mode
};

class Checker {
 public:
  explicit Checker(Table table);

  // Power-up. With `initialised` the channel is as after its initialisation, CKE and reset_n high.
  void restart(bool initialised);

  // From this CK on. `temperature` is the device's code: 0, 1, 3, 2, 6 for 4, 2, 1, 1/2, 1/4 of tREFI; of the reserved
  // ones it is not known which is hotter, so they count as 6.
  void pins(bool reset_n, bool cke, int temperature);

  // A command in the present CK; that of the column bus first. Of MRS, `bank` is the register, `operand` its value.
  void command(Command what, int pc, int bank, int operand = 0);

  void advance(int64_t clocks);

  int64_t now() const { return now_; }
  uint64_t violations() const { return total_; }
  uint64_t count(int rule) const { return counts_[rule]; }
  size_t rules() const { return counts_.size(); }
  std::string rule_name(int rule) const;
  const std::vector<Violation>& first() const { return first_; }  // the first few
  std::string describe(const Violation& violation) const;
  uint64_t commands(Command what) const { return seen_[what]; }
  // How often a command came in the very clock from which a pair rule allowed it.
  uint64_t at_limit(int rule) const { return at_limit_[rule]; }
  // Bank refreshes owed by a pseudo-channel; negative when done in advance.
  double owed(int pc) const;

 private:
  struct Last {
    int64_t ck = LONG_AGO;
    uint8_t pc = 0, bank = 0;
  };
  using Lasts = std::array<Last, COMMANDS>;
  struct Breach {
    int32_t rule = -1;
    int64_t allowed_from = LONG_AGO;
    Last earlier;
    uint8_t earlier_command = NOP, bank = 0;
  };
  struct Check {
    int32_t rule;
    Level level;
    int64_t latency;
    int window;
    uint8_t preceding;
  };

  void forget();
  void check_pairs(Command what, int pc, int bank, Breach& breach);
  void check_state(Command what, int pc, int bank);
  void refresh(Command what, int pc, int bank);
  void record(Command what, int pc, int bank);
  void check_modes(Command what, int pc, int bank);
  void report(const Violation& violation);
  void report(Command what, int pc, int bank, StateRule rule);
  void check_owed();
  int group_of(int bank) const { return bank / table_.banks_per_group; }
  int sid_of(int bank) const { return bank / (table_.banks_per_group * table_.groups); }

  Table table_;
  std::array<std::vector<Check>, COMMANDS> checks_;  // by the following command
  int banks_;
  int64_t payment_, most_owed_;

  int64_t now_ = 0;
  Lasts channel_;
  std::array<Lasts, PCS> of_pc_;
  std::array<std::array<Lasts, MOST_SIDS>, PCS> of_sid_;
  std::array<std::array<Lasts, MOST_GROUPS>, PCS> of_group_;
  std::array<std::array<Lasts, MOST_BANKS>, PCS> of_bank_;
  std::array<std::array<Last, MOST_WINDOW>, PCS> acts_;  // a ring
  std::array<unsigned, PCS> next_act_;
  std::array<uint64_t, PCS> open_;       // banks with an open row
  std::array<uint64_t, PCS> refreshed_;  // banks done in this round
  std::array<int64_t, PCS> paid_;
  std::array<bool, PCS> overdue_;
  int64_t accrued_;  // of refreshes, in units of 1 / payment_
  int rate_;
  bool reset_n_, cke_, initialised_;
  std::array<uint8_t, 16> mode_;
  bool modes_checked_;
  Command asleep_;  // the entry, or NOP

  std::vector<uint64_t> counts_, at_limit_;
  std::array<uint64_t, COMMANDS> seen_;
  uint64_t total_ = 0;
  std::vector<Violation> first_;
};

}  // namespace hbm

#endif
