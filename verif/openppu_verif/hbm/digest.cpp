#include "digest.h"

namespace hbm {

void ChannelDigest::bus(uint64_t clock, const Drive& drive, uint64_t update_acknowledge) {
  for (int slot = 0; slot < 2; ++slot) {
    const RowSlot& row = drive.row[slot];
    if (row.command != NOP) {
      commands_.add(clock << 16 | static_cast<uint64_t>(row.command << 8 | slot));
      const bool one_bank = row.command == ACT || row.command == PRE || row.command == REFSB;
      const bool one_pc = one_bank || row.command == PREA || row.command == REF;
      commands_.add(static_cast<uint64_t>((one_pc ? row.pc : 0) << 8 | (one_bank ? row.bank : 0)));
      if (row.command == ACT) commands_.add(static_cast<uint64_t>(row.row));
    }
    const ColumnSlot& column = drive.column[slot];
    if (column.command != NOP) {
      commands_.add(clock << 16 | static_cast<uint64_t>(column.command << 8 | 2 | slot));
      commands_.add(static_cast<uint64_t>(column.bank));
      commands_.add(static_cast<uint64_t>(column.command == MRS ? column.operand : column.column));
    }
    if (drive.write_valid[slot]) {
      words_.add(clock << 1 | static_cast<uint64_t>(slot));
      words_.add(drive.write_mask[slot]);
      words_.add(drive.write[slot].data, sizeof(drive.write[slot].data));
      words_.add(drive.write[slot].check, sizeof(drive.write[slot].check));
    }
  }
  const int pins = drive.reset_n | drive.cke << 1 | drive.init_start << 2;
  flags_.add(static_cast<uint64_t>(pins) | update_acknowledge << 3);
}

void ChannelDigest::stream_out(const Pin& valid, const Pin& payload) {
  ports_.add(valid.number());
  if (valid.number()) ports_.add(payload);
}

void ChannelDigest::record(const Pin& pin, bool valid) {
  flags_.add(valid);
  if (valid) flags_.add(pin);
}

std::map<std::string, uint64_t> ChannelDigest::values() const {
  return {{"commands", commands_.value()}, {"words", words_.value()}, {"ports", ports_.value()},
          {"counters", counters_.value()}, {"flags", flags_.value()}};
}

}  // namespace hbm
