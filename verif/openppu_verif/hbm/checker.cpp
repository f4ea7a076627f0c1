#include "checker.h"

#include <sstream>
#include <stdexcept>
#include <utility>

namespace hbm {

const char* const command_names[COMMANDS] = {"NOP", "ACT", "PRE", "PREA", "REFSB", "REF", "PDE", "PDX",
                                             "SRE", "SRX", "RD",  "RDA",  "WR",    "WRA", "MRS"};

const char* const state_rule_names[STATE_RULES] = {
    "activate_open_bank", "refresh_open_bank", "column_closed_bank", "idle_open_bank", "asleep",
    "exit_awake",         "in_reset",          "cke_low",            "uninitialised",  "no_such_bank",
    "refresh_round",      "refresh_ahead",     "refresh_overdue"};

namespace {

constexpr size_t MOST_VIOLATIONS_KEPT = 64;
constexpr int MOST_INTERVALS = 8;  // of refresh, owed or done in advance
constexpr int NORMAL_RATE = 4;     // accrued a CK and bank where the temperature asks for tREFI as in the table

constexpr uint32_t bit(Command what) { return 1u << what; }
constexpr uint32_t CHANNEL_WIDE = bit(PDE) | bit(PDX) | bit(SRE) | bit(SRX) | bit(MRS);

bool is_in(Command what, uint32_t set) { return set >> what & 1; }

int rate_of(int temperature) {
  switch (temperature) {
    case 0: return NORMAL_RATE / 4;
    case 1: return NORMAL_RATE / 2;
    case 2: return NORMAL_RATE * 2;
    case 3: return NORMAL_RATE;
    default: return NORMAL_RATE * 4;
  }
}

}  // namespace

Table::Table(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "organisation") {
      words >> sids >> groups >> banks_per_group;
    } else if (kind == "refresh") {
      words >> refresh_interval;
    } else if (kind == "rule") {
      Rule rule;
      int level = 0;
      words >> rule.name >> level >> rule.latency >> rule.window >> rule.preceding >> rule.following;
      rule.level = static_cast<Level>(level);
      if (level > CHANNEL || rule.window < 1 || rule.window > MOST_WINDOW ||
          (rule.window > 1 && (rule.preceding != bit(ACT) || rule.level != PC))) {
        throw std::runtime_error("constraint table: beyond what the checker holds: " + line);
      }
      rules.push_back(rule);
    } else if (kind == "mode") {
      Mode mode;
      words >> mode.name >> mode.first >> mode.code;
      for (int place; words >> place;) mode.places.push_back(place);
      if (!mode.places.empty() && words.eof()) words.clear();
      modes.push_back(mode);
    } else {
      throw std::runtime_error("constraint table: unknown line: " + line);
    }
    if (!words) throw std::runtime_error("constraint table: incomplete line: " + line);
  }
  if (sids < 1 || sids > MOST_SIDS || sids * groups > MOST_GROUPS || banks() < 1 || banks() > MOST_BANKS ||
      refresh_interval < 1) {
    throw std::runtime_error("constraint table: organisation or refresh interval is missing or too large");
  }
}

Checker::Checker(Table table) : table_(std::move(table)), banks_(table_.banks()) {
  for (size_t rule = 0; rule < table_.rules.size(); ++rule) {
    const Rule& row = table_.rules[rule];
    for (int following = 0; following < COMMANDS; ++following) {
      for (int preceding = 0; preceding < COMMANDS; ++preceding) {
        if ((row.following >> following & 1) && (row.preceding >> preceding & 1)) {
          checks_[following].push_back({static_cast<int32_t>(rule), row.level, row.latency, row.window,
                                        static_cast<uint8_t>(preceding)});
        }
      }
    }
  }
  payment_ = table_.refresh_interval * NORMAL_RATE;
  most_owed_ = MOST_INTERVALS * banks_ * payment_;
  counts_.assign(table_.rules.size() + STATE_RULES + table_.modes.size(), 0);
  at_limit_ = counts_;
  restart(true);
}

void Checker::forget() {
  channel_ = Lasts{};
  of_pc_ = {};
  of_sid_ = {};
  of_group_ = {};
  of_bank_ = {};
  acts_ = {};
  next_act_ = {};
  open_ = {};
  refreshed_ = {};
  paid_ = {};
  overdue_ = {};
  accrued_ = 0;
  asleep_ = NOP;
  initialised_ = false;
  mode_ = {};
  modes_checked_ = true;
}

void Checker::restart(bool initialised) {
  forget();
  now_ = 0;
  rate_ = NORMAL_RATE;
  reset_n_ = cke_ = initialised_ = initialised;
  counts_.assign(counts_.size(), 0);
  at_limit_ = counts_;
  seen_ = {};
  total_ = 0;
  first_.clear();
}

void Checker::pins(bool reset_n, bool cke, int temperature) {
  if (!reset_n && reset_n_) forget();
  reset_n_ = reset_n;
  cke_ = cke;
  rate_ = rate_of(temperature);
}

void Checker::command(Command what, int pc, int bank, int operand) {
  if (what == NOP) return;
  ++seen_[what];
  if (what == MRS && reset_n_) {
    mode_[bank % mode_.size()] = static_cast<uint8_t>(operand);
    modes_checked_ = false;
  }
  if (is_in(what, CHANNEL_WIDE)) pc = bank = 0;
  if (what == PREA || what == REF) bank = 0;
  if (!reset_n_) return report(what, pc, bank, IN_RESET);
  if (bank >= banks_) return report(what, pc, bank, NO_SUCH_BANK);

  Breach breach;
  check_pairs(what, pc, bank, breach);
  if (what == PREA) {
    for (int each = 0; each < banks_; ++each) {
      if (open_[pc] >> each & 1) check_pairs(PRE, pc, each, breach);
    }
  }
  if (breach.rule >= 0) {
    report({now_, breach.rule, what, static_cast<uint8_t>(pc), breach.bank, breach.earlier_command, breach.earlier.pc,
            breach.earlier.bank, breach.earlier.ck, breach.allowed_from});
  }
  check_state(what, pc, bank);
  check_modes(what, pc, bank);
  record(what, pc, bank);
}

void Checker::check_pairs(Command what, int pc, int bank, Breach& breach) {
  auto check = [&](const Check& rule, const Last& last) {
    const int64_t from = last.ck + rule.latency;
    if (from == now_) ++at_limit_[rule.rule];
    if (from <= now_ || from <= breach.allowed_from) return;
    breach = {rule.rule, from, last, rule.preceding, static_cast<uint8_t>(bank)};
  };
  for (const Check& rule : checks_[what]) {
    switch (rule.level) {
      case BANK: check(rule, of_bank_[pc][bank][rule.preceding]); break;
      case GROUP: check(rule, of_group_[pc][group_of(bank)][rule.preceding]); break;
      case SID: check(rule, of_sid_[pc][sid_of(bank)][rule.preceding]); break;
      case OTHER_SID:
        for (int sid = 0; sid < table_.sids; ++sid) {
          if (sid != sid_of(bank)) check(rule, of_sid_[pc][sid][rule.preceding]);
        }
        break;
      case OTHER_BANK:
        for (int each = 0; each < banks_; ++each) {
          if (each != bank) check(rule, of_bank_[pc][each][rule.preceding]);
        }
        break;
      case PC:
        if (rule.window == 1) {
          check(rule, of_pc_[pc][rule.preceding]);
        } else {
          check(rule, acts_[pc][(next_act_[pc] - rule.window) % MOST_WINDOW]);
        }
        break;
      case CHANNEL: check(rule, channel_[rule.preceding]); break;
    }
  }
}

void Checker::check_state(Command what, int pc, int bank) {
  if (asleep_ != NOP) {
    const Command exit = asleep_ == PDE ? PDX : SRX;
    if (what != exit) report(what, pc, bank, ASLEEP);
  } else if (what == PDX || what == SRX) {
    report(what, pc, bank, EXIT_AWAKE);
  } else if (!cke_ && what != PDE && what != SRE) {
    report(what, pc, bank, CKE_LOW);
  }
  if (!initialised_ && what != MRS) report(what, pc, bank, UNINITIALISED);

  const bool open = open_[pc] >> bank & 1;
  switch (what) {
    case ACT:
      if (open) report(what, pc, bank, ACTIVATE_OPEN_BANK);
      break;
    case REFSB:
      if (open) report(what, pc, bank, REFRESH_OPEN_BANK);
      break;
    case REF:
      if (open_[pc]) report(what, pc, bank, REFRESH_OPEN_BANK);
      break;
    case RD: case RDA: case WR: case WRA:
      if (!open) report(what, pc, bank, COLUMN_CLOSED_BANK);
      break;
    case SRE: case MRS:
      if (open_[0] | open_[1]) report(what, pc, bank, IDLE_OPEN_BANK);
      break;
    default: break;
  }
}

void Checker::check_modes(Command what, int pc, int bank) {
  if (modes_checked_ || what == MRS) return;
  modes_checked_ = true;
  for (size_t index = 0; index < table_.modes.size(); ++index) {
    const Mode& mode = table_.modes[index];
    int held = 0;
    for (size_t bit = 0; bit < mode.places.size(); ++bit) {
      held |= (mode_[mode.places[bit] / 8] >> mode.places[bit] % 8 & 1) << bit;
    }
    if (held == mode.code) continue;
    Violation found{now_, static_cast<int32_t>(table_.rules.size() + STATE_RULES + index), what,
                    static_cast<uint8_t>(pc), static_cast<uint8_t>(bank), NOP, 0, 0, LONG_AGO, LONG_AGO};
    found.held = mode.first + held, found.wanted = mode.first + mode.code;
    report(found);
  }
}

void Checker::record(Command what, int pc, int bank) {
  const Last last{now_, static_cast<uint8_t>(pc), static_cast<uint8_t>(bank)};
  const uint64_t mask = uint64_t{1} << bank;
  auto mark = [&](Command as, const Last& at) {
    channel_[as] = of_pc_[pc][as] = of_sid_[pc][sid_of(at.bank)][as] = of_group_[pc][group_of(at.bank)][as] =
        of_bank_[pc][at.bank][as] = at;
  };
  switch (what) {
    case PREA:
      for (uint8_t each = 0; each < banks_; ++each) {
        if (open_[pc] >> each & 1) mark(PRE, {now_, last.pc, each});
      }
      open_[pc] = 0;
      return;
    case ACT:
      acts_[pc][next_act_[pc]++ % MOST_WINDOW] = last;
      open_[pc] |= mask;
      break;
    case PRE: case RDA: case WRA:
      open_[pc] &= ~mask;
      break;
    case REFSB: case REF:
      refresh(what, pc, bank);
      break;
    case PDE: case SRE:
      if (asleep_ == NOP) asleep_ = what;
      break;
    case PDX:
      if (asleep_ == PDE) asleep_ = NOP;
      break;
    case SRX:
      if (asleep_ == SRE) asleep_ = NOP;
      break;
    case MRS:
      initialised_ = true;
      break;
    default: break;
  }
  mark(what, last);
}

void Checker::refresh(Command what, int pc, int bank) {
  const uint64_t all = banks_ == 64 ? ~uint64_t{0} : (uint64_t{1} << banks_) - 1;
  const uint64_t now = what == REF ? all : uint64_t{1} << bank;
  if (what == REFSB && (refreshed_[pc] & now)) return report(what, pc, bank, REFRESH_ROUND);
  paid_[pc] += payment_ * __builtin_popcountll(now & ~refreshed_[pc]);
  refreshed_[pc] |= now;
  if (refreshed_[pc] == all) refreshed_[pc] = 0;
  if (accrued_ - paid_[pc] < -most_owed_) report(what, pc, bank, REFRESH_AHEAD);
  check_owed();
}

void Checker::advance(int64_t clocks) {
  now_ += clocks;
  if (asleep_ == SRE || !reset_n_ || !(cke_ || initialised_)) return;  // no refresh is due before CKE rises
  accrued_ += clocks * rate_ * banks_;
  if (accrued_ - paid_[0] > most_owed_ || accrued_ - paid_[1] > most_owed_) check_owed();
}

void Checker::check_owed() {
  for (int pc = 0; pc < PCS; ++pc) {
    const int64_t excess = accrued_ - paid_[pc] - most_owed_;
    if (excess > 0 && !overdue_[pc]) {
      const int64_t since = now_ - (excess - 1) / (rate_ * banks_);  // the first CK of it, if several passed at once
      report({since, static_cast<int32_t>(table_.rules.size()) + REFRESH_OVERDUE, NOP, static_cast<uint8_t>(pc), 0, NOP,
              0, 0, LONG_AGO, LONG_AGO});
    }
    overdue_[pc] = excess > 0;
  }
}

double Checker::owed(int pc) const { return static_cast<double>(accrued_ - paid_[pc]) / payment_; }

void Checker::report(const Violation& violation) {
  ++total_;
  ++counts_[violation.rule];
  if (first_.size() < MOST_VIOLATIONS_KEPT) first_.push_back(violation);
}

void Checker::report(Command what, int pc, int bank, StateRule rule) {
  const int32_t number = static_cast<int32_t>(table_.rules.size()) + rule;
  report({now_, number, what, static_cast<uint8_t>(pc), static_cast<uint8_t>(bank), NOP, 0, 0, LONG_AGO, LONG_AGO});
}

std::string Checker::rule_name(int rule) const {
  const int pairs = static_cast<int>(table_.rules.size());
  if (rule >= pairs + STATE_RULES) return table_.modes[rule - pairs - STATE_RULES].name;
  return rule < pairs ? table_.rules[rule].name : state_rule_names[rule - pairs];
}

std::string Checker::describe(const Violation& violation) const {
  auto place = [](int command, int pc, int bank) {
    std::string text = command == NOP ? "" : command_names[command];
    if (command == NOP || !is_in(static_cast<Command>(command), CHANNEL_WIDE)) {
      text += (text.empty() ? "PC " : " of PC ") + std::to_string(pc);
      if (command != NOP && command != REF && command != PREA) text += " bank " + std::to_string(bank);
    }
    return text;
  };
  std::string text = "CK " + std::to_string(violation.ck) + ": " + rule_name(violation.rule) + ": " +
                     place(violation.command, violation.pc, violation.bank);
  if (violation.rule >= static_cast<int>(table_.rules.size()) + STATE_RULES) {
    return text + ": the mode registers hold " + std::to_string(violation.held) + ", the controller is set for " +
           std::to_string(violation.wanted);
  }
  if (violation.earlier_command == NOP) return text;
  return text + ", " + std::to_string(violation.ck - violation.earlier_ck) + " CK after " +
         place(violation.earlier_command, violation.earlier_pc, violation.earlier_bank) + ", " +
         std::to_string(violation.allowed_from - violation.earlier_ck) + " needed";
}

}  // namespace hbm
