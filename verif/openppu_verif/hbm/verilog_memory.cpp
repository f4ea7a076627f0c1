#include "verilog_memory.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

#include "bench_io.h"
#include "checker.h"
#include "device.h"
#include "faults.h"
#include "phy_bus.h"

namespace hbm {

using namespace native;

namespace {

static_assert(sizeof(Word) == 4 * ACCESS_WORDS && sizeof(Word) * PCS == 4 * READ_WORDS);

class Memory {
 public:
  explicit Memory(const Parameters& given)
      : device_(organisation_of(given)), checker_(Table(joined(given.all("table")))), bus_(given) {
    checker_.restart(false);
  }

  Device& device() { return device_; }

  void clock(const uint32_t* row, const uint32_t* column, const uint32_t* write, const uint32_t* write_mask,
             uint32_t pins) {
    Drive drive;
    auto pin = [&](int bit) { return static_cast<int32_t>(pins >> bit & 1); };
    drive.reset_n = pin(Pins::RESET_N), drive.cke = pin(Pins::CKE), drive.init_start = pin(Pins::INIT_START);
    bus_.decode(reinterpret_cast<const uint8_t*>(row), reinterpret_cast<const uint8_t*>(column), drive);
    for (int pc = 0; pc < PCS; ++pc) {
      drive.write_valid[pc] = pin(Pins::WRITE_VALID + pc);
      drive.write_mask[pc] = write_mask[pc];
      std::memcpy(&drive.write[pc], write + pc * ACCESS_WORDS, sizeof(Word));
    }
    checker_.pins(drive.reset_n, drive.cke, device_.sense().temperature);
    const int lost = device_.clock(drive);
    for (int slot = 0; slot < 2; ++slot) {
      const ColumnSlot& on_column = drive.column[slot];
      const RowSlot& on_row = drive.row[slot];
      if (!(lost >> slot & 4)) {
        checker_.command(static_cast<Command>(on_column.command), slot, on_column.bank, on_column.operand);
      }
      if (!(lost >> slot & 1)) checker_.command(static_cast<Command>(on_row.command), on_row.pc, on_row.bank);
      checker_.advance(1);
    }
    for (; violations_ < checker_.first().size(); ++violations_) {
      std::fprintf(stderr, "%s\n", checker_.describe(checker_.first()[violations_]).c_str());
    }
    for (; problems_ < device_.first_problems().size(); ++problems_) {
      std::fprintf(stderr, "%s\n", device_.first_problems()[problems_].c_str());
    }
  }

  void sense(uint32_t* read, uint32_t* status) const {
    const Sense& sense = device_.sense();
    std::memcpy(read, sense.read, sizeof(sense.read));
    auto bits = [](int32_t value, int at) { return static_cast<uint32_t>(value) << at; };
    *status = bits(sense.read_valid[0], Status::READ_VALID) | bits(sense.read_valid[1], Status::READ_VALID + 1) |
              bits(sense.temperature, Status::TEMPERATURE) | bits(sense.catastrophic, Status::CATASTROPHIC) |
              bits(sense.address_error, Status::ADDRESS_ERROR) | bits(sense.init_complete, Status::INIT_COMPLETE) |
              bits(sense.update_request, Status::UPDATE_REQUEST);
  }

  int32_t failures() const { return static_cast<int32_t>(checker_.violations() + device_.problems()); }

 private:
  Device device_;
  Checker checker_;
  PhyBus bus_;
  size_t violations_ = 0, problems_ = 0;  // that were told
};

Memory& memory_at(int64_t number) { return *reinterpret_cast<Memory*>(number); }

}  // namespace

int64_t memory_open(const char* path) try {
  return reinterpret_cast<int64_t>(std::make_unique<Memory>(Parameters(path)).release());
} catch (const std::exception& problem) {
  std::fprintf(stderr, "HBM device, configuration %s: %s\n", path, problem.what());
  return 0;
}

void memory_close(int64_t memory) { delete &memory_at(memory); }

int32_t memory_clock(int64_t memory, const uint32_t* row, const uint32_t* column, const uint32_t* write,
                     const uint32_t* write_mask, uint32_t pins, uint32_t* read, uint32_t* status) {
  memory_at(memory).clock(row, column, write, write_mask, pins);
  memory_at(memory).sense(read, status);
  return memory_at(memory).failures();
}

bool memory_inject(int64_t memory, const char* text) try {
  std::istringstream words(text);
  std::string name;
  words >> name;
  std::vector<int64_t> values;
  for (int64_t value; words >> value;) values.push_back(value);
  inject(memory_at(memory).device(), name, values);
  return true;
} catch (const std::exception& problem) {
  std::fprintf(stderr, "HBM device, event `%s`: %s\n", text, problem.what());
  return false;
}

void memory_poke(int64_t memory, int pc, int bank, int row, int column, const uint32_t* word) {
  Word access;
  std::memcpy(&access, word, sizeof(access));
  memory_at(memory).device().write(pc, bank, static_cast<uint32_t>(row), column, access);
}

void memory_peek(int64_t memory, int pc, int bank, int row, int column, uint32_t* word) {
  Word access;
  memory_at(memory).device().peek(pc, bank, static_cast<uint32_t>(row), column, access);
  std::memcpy(word, &access, sizeof(access));
}

}  // namespace hbm
