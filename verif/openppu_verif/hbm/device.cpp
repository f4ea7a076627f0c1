#include "device.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hbm {

namespace {

constexpr size_t MOST_TEXTS = 64;
constexpr int DATA_BITS = 256;

uint8_t& byte_of(Word& word, int bit) {
  return bit < DATA_BITS ? word.data[bit / 8] : word.check[(bit - DATA_BITS) / 8];
}

void apply(Word& word, const Word& mask) {
  for (size_t i = 0; i < sizeof(word.data); ++i) word.data[i] ^= mask.data[i];
  for (size_t i = 0; i < sizeof(word.check); ++i) word.check[i] ^= mask.check[i];
}

std::string at(int pc, int bank) { return " of PC " + std::to_string(pc) + " bank " + std::to_string(bank); }

}  // namespace

Device::Device(const Organisation& organisation, const uint8_t* modes)
    : organisation_(organisation), reset_n_(modes), cke_(modes), configured_(modes) {
  for (auto& banks : banks_) banks.resize(organisation.banks);
  if (modes) std::copy_n(modes, mode_.size(), mode_.begin());
  sense_.temperature = 3;
  sense_.init_complete = configured_;
}

int Device::clock(const Drive& drive) {
  if (!drive.reset_n && reset_n_) {
    for (auto& banks : banks_) banks.assign(banks.size(), Bank{});
    for (auto& each : arrivals_) each.fill({});
    for (auto& each : expected_) each.fill({});
    mode_.fill(0);
    configured_ = false;
    asleep_ = NOP;
    sense_.init_complete = 0;
    training_until_ = 0;
  }
  reset_n_ = drive.reset_n;
  cke_ = drive.cke;

  int lost = 0;
  uint8_t errors = 0;
  for (int phase = 0; phase < 2; ++phase) {
    const bool wrong = spoiled(true, drive.column[phase].command) | spoiled(false, drive.row[phase].command);
    errors |= static_cast<uint8_t>(wrong << phase);
    // The column bus first, as the checker: a row may be closed in the very memory clock of its last access.
    if (drive.column[phase].command != NOP) {
      if (wrong) {
        lost |= 4 << phase;
        const int what = drive.column[phase].command;
        if (what == WR || what == WRA) {
          expected_[phase][(now_ + write_latency() / 2) % AHEAD].what = Expected::DROPPED;
        }
      } else {
        column_command(drive.column[phase], phase);
      }
    }
    if (drive.row[phase].command != NOP) {
      if (wrong) {
        lost |= 1 << phase;
      } else {
        row_command(drive.row[phase]);
      }
    }
  }
  if (asleep_ != NOP && cke_) problem(std::string("CKE is high after ") + command_names[asleep_]);
  if (errors) alarms_[(now_ + organisation_.address_error_clocks) % AHEAD] = errors;
  for (int pc = 0; pc < PCS; ++pc) take_write(pc, drive);

  if (drive.init_start && !sense_.init_complete && training_until_ == 0) {
    training_until_ = now_ + 1 + organisation_.training_clocks;
  }
  ++now_;
  if (training_until_ != 0 && now_ >= training_until_) sense_.init_complete = 1;
  const size_t slot = now_ % AHEAD;
  for (int pc = 0; pc < PCS; ++pc) {
    Arrival& arrival = arrivals_[pc][slot];
    sense_.read_valid[pc] = arrival.valid;
    if (arrival.valid) sense_.read[pc] = arrival.word;
    arrival.valid = false;
  }
  sense_.address_error = alarms_[slot];
  alarms_[slot] = 0;
  return lost;
}

bool Device::awake(Command what) {
  const std::string name = command_names[what];
  if (!reset_n_) {
    problem(name + " in reset");
    return false;
  }
  if (asleep_ != NOP) {
    problem(name + " between " + command_names[asleep_] + " and its exit");
    return false;
  }
  if (!cke_ && what != PDE && what != SRE) {
    problem(name + " with CKE low");
    return false;
  }
  if (!configured_ && what != MRS) {
    problem(name + " before the mode registers are set");
    return false;
  }
  return true;
}

void Device::exit_from(Command entry, Command exit) {
  if (asleep_ == entry) {
    asleep_ = NOP;
    if (!cke_) problem(std::string(command_names[exit]) + " with CKE low");
  } else {
    problem(std::string(command_names[exit]) + " without " + command_names[entry]);
  }
}

void Device::row_command(const RowSlot& slot) {
  const auto what = static_cast<Command>(slot.command);
  if (what == PDX) return exit_from(PDE, PDX);
  if (what == SRX) return exit_from(SRE, SRX);
  if (!awake(what)) return;
  const int pc = slot.pc;
  if ((what == ACT || what == PRE || what == REFSB) && slot.bank >= organisation_.banks) {
    return problem(std::string(command_names[what]) + at(pc, slot.bank) + ": there is no such bank");
  }
  auto any_open = [&](int first, int last) {
    for (int each = first; each <= last; ++each) {
      for (const Bank& bank : banks_[each]) {
        if (bank.open) return true;
      }
    }
    return false;
  };
  switch (what) {
    case ACT: {
      Bank& bank = banks_[pc][slot.bank];
      if (bank.open) problem("ACT" + at(pc, slot.bank) + ": a row is open");
      if (slot.row >= organisation_.rows) return problem("ACT" + at(pc, slot.bank) + ": there is no such row");
      bank = {true, static_cast<uint32_t>(slot.row)};
      break;
    }
    case PRE: banks_[pc][slot.bank].open = false; break;
    case PREA:
      for (Bank& bank : banks_[pc]) bank.open = false;
      break;
    case REFSB:
      if (banks_[pc][slot.bank].open) problem("REFSB" + at(pc, slot.bank) + ": a row is open");
      break;
    case REF:
      if (any_open(pc, pc)) problem("REF of PC " + std::to_string(pc) + ": a row is open");
      break;
    case SRE:
      if (any_open(0, PCS - 1)) problem("SRE: a row is open");
      asleep_ = SRE;
      break;
    case PDE: asleep_ = PDE; break;
    default: problem(std::string(command_names[what]) + " on the row bus");
  }
}

void Device::column_command(const ColumnSlot& slot, int pc) {
  const auto what = static_cast<Command>(slot.command);
  if (!awake(what)) return;
  if (what == MRS) {
    mode_[slot.bank & 15] = static_cast<uint8_t>(slot.operand);
    configured_ = true;
    return;
  }
  const std::string name = command_names[what];
  if (what != RD && what != RDA && what != WR && what != WRA) return problem(name + " on the column bus");
  if (slot.bank >= organisation_.banks) return problem(name + at(pc, slot.bank) + ": there is no such bank");
  Bank& bank = banks_[pc][slot.bank];
  if (!bank.open) problem(name + at(pc, slot.bank) + ": no row is open");
  if (what == RD || what == RDA) {
    start_read(pc, slot);
  } else {
    Expected& expected = expected_[pc][(now_ + write_latency() / 2) % AHEAD];
    expected.what = bank.open ? Expected::KEPT : Expected::DROPPED;
    expected.bank = static_cast<uint8_t>(slot.bank);
    expected.column = static_cast<uint8_t>(slot.column);
    expected.row = bank.row;
  }
  if (what == RDA || what == WRA) bank.open = false;
}

bool Device::any_open() const {
  for (const auto& banks : banks_) {
    for (const Bank& bank : banks) {
      if (bank.open) return true;
    }
  }
  return false;
}

void Device::start_read(int pc, const ColumnSlot& slot) {
  ++reads_[pc];
  const Bank& bank = banks_[pc][slot.bank];
  const int burst = BEATS / 2;
  const int clocks = (pc + read_latency() + burst + 1) / 2 + organisation_.read_delay;
  Arrival& arrival = arrivals_[pc][(now_ + clocks) % AHEAD];
  arrival.valid = true;
  if (bank.open) {
    read(pc, slot.bank, bank.row, slot.column, arrival.word);
  } else {
    std::memset(&arrival.word, 0xdb, sizeof(arrival.word));
  }
  auto& faults = read_faults_[pc];
  if (faults.empty()) return;
  ReadFault& fault = faults.front();
  if (fault.skip) {
    --fault.skip;
    return;
  }
  if (fault.lost) arrival.valid = false;
  apply(arrival.word, fault.mask);
  if (--fault.count == 0) faults.pop_front();
}

void Device::take_write(int pc, const Drive& drive) {
  Expected& expected = expected_[pc][now_ % AHEAD];
  if (expected.what == Expected::NOTHING) {
    if (drive.write_valid[pc]) problem("a word to write to PC " + std::to_string(pc) + " without its command");
    return;
  }
  const auto what = std::exchange(expected.what, Expected::NOTHING);
  if (!drive.write_valid[pc]) return problem("the word of a WR of PC " + std::to_string(pc) + " is missing");
  if (what == Expected::DROPPED) return;
  ++writes_[pc];
  Word word;
  if (drive.write_mask[pc] == 0xffffffff || !has_mask()) {
    word = drive.write[pc];
    if (drive.write_mask[pc] != 0xffffffff) problem("a masked word to PC " + std::to_string(pc) + ": masks are off");
  } else {
    read(pc, expected.bank, expected.row, expected.column, word);
    for (int byte = 0; byte < 32; ++byte) {
      if (drive.write_mask[pc] >> byte & 1) word.data[byte] = drive.write[pc].data[byte];
    }
  }
  if (!has_check_bits()) std::memset(word.check, 0, sizeof(word.check));
  write(pc, expected.bank, expected.row, expected.column, word);
}

bool Device::fits(int pc, int bank, uint32_t row, int column) const {
  return pc >= 0 && pc < PCS && bank >= 0 && bank < organisation_.banks && row < uint32_t(organisation_.rows) &&
         column >= 0 && column < COLUMNS;
}

bool Device::reaches(const std::string& what, int pc, int bank, uint32_t row, int column) {
  if (fits(pc, bank, row, column)) return true;
  problem(what + " of PC " + std::to_string(pc) + " bank " + std::to_string(bank) + " row " +
          std::to_string(static_cast<int32_t>(row)) + " column " + std::to_string(column) + ": there are " +
          std::to_string(PCS) + " PCs, " + std::to_string(organisation_.banks) + " banks, " +
          std::to_string(organisation_.rows) + " rows and " + std::to_string(COLUMNS) + " columns, from 0");
  return false;
}

void Device::peek(int pc, int bank, uint32_t row, int column, Word& word) {
  reaches("a peek", pc, bank, row, column);
  read(pc, bank, row, column, word);
}

void Device::read(int pc, int bank, uint32_t row, int column, Word& word) const {
  std::memset(&word, 0, sizeof(word));
  if (!fits(pc, bank, row, column)) return;
  const auto found = pages_.find(key(pc, bank, row));
  if (found != pages_.end() && (found->second->present >> column & 1)) {
    word = found->second->words[column];
  } else if (background_) {
    background_(pc, bank, row, column, word);
  }
  if (stuck_.empty()) return;
  const auto stuck = stuck_.find(key(pc, bank, row) * COLUMNS + column);
  if (stuck == stuck_.end()) return;
  for (const Stuck& each : stuck->second) {
    uint8_t& byte = byte_of(word, each.bit);
    const auto mask = static_cast<uint8_t>(1 << each.bit % 8);
    byte = static_cast<uint8_t>(each.value ? byte | mask : byte & ~mask);
  }
}

void Device::write(int pc, int bank, uint32_t row, int column, const Word& word) {
  if (!reaches("a write without the bus", pc, bank, row, column)) return;
  auto& page = pages_[key(pc, bank, row)];
  if (!page) page = std::make_unique<Page>();
  page->words[column] = word;
  page->present |= 1u << column;
}

uint64_t Device::count_stored(const std::function<bool(const Word&)>& which) const {
  uint64_t count = 0;
  for (const auto& [place, page] : pages_) {
    for (int column = 0; column < COLUMNS; ++column) {
      count += (page->present >> column & 1) && which(page->words[column]);
    }
  }
  return count;
}

void Device::flip_bit(int pc, int bank, uint32_t row, int column, int bit) {
  Word word;
  read(pc, bank, row, column, word);
  byte_of(word, bit) ^= static_cast<uint8_t>(1 << bit % 8);
  write(pc, bank, row, column, word);
}

void Device::stick_bit(int pc, int bank, uint32_t row, int column, int bit, bool value) {
  if (!reaches("a stuck bit", pc, bank, row, column)) return;
  stuck_[key(pc, bank, row) * COLUMNS + column].push_back({bit, value});
}

void Device::flip_reads(int pc, uint64_t skip, uint64_t count, const Word& mask) {
  if (count) read_faults_[pc].push_back({skip, count, false, mask});
}

void Device::lose_strobes(int pc, uint64_t skip, uint64_t count) {
  if (count) read_faults_[pc].push_back({skip, count, true, Word{}});
}

void Device::spoil_command(bool column_bus, uint64_t skip) { spoil_[column_bus].push_back(skip); }

bool Device::spoiled(bool column_bus, int command) {
  // With CKE low there is no parity.
  if (!has_parity() || command == NOP || command == PDE || command == PDX || command == SRE || command == SRX) return false;
  bool hit = false;
  auto& left = spoil_[column_bus];
  for (size_t index = 0; index < left.size();) {
    if (left[index]-- == 0) {
      hit = true;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      ++index;
    }
  }
  return hit;
}

void Device::clear_faults() {
  for (auto& each : read_faults_) each.clear();
  stuck_.clear();
  for (auto& each : spoil_) each.clear();
}

void Device::problem(const std::string& text) {
  ++problems_;
  if (texts_.size() < MOST_TEXTS) texts_.push_back("clock " + std::to_string(now_) + ": " + text);
}

}  // namespace hbm
