// The checker and the device model as C functions, for native_library.py. No exception leaves them.

#include <cstring>
#include <exception>

#include "checker.h"
#include "device.h"

using hbm::Checker;
using hbm::Device;
using hbm::Word;

namespace {

void put(const std::string& text, char* to, size_t size) {
  if (size == 0) return;
  const size_t count = text.size() < size ? text.size() : size - 1;
  std::memcpy(to, text.data(), count);
  to[count] = 0;
}

}  // namespace

extern "C" {

Checker* checker_new(const char* table, char* error, size_t size) try {
  return new Checker(hbm::Table(table));
} catch (const std::exception& problem) {
  put(problem.what(), error, size);
  return nullptr;
}

void checker_delete(Checker* checker) { delete checker; }

void checker_restart(Checker* checker, int initialised) { checker->restart(initialised); }

void checker_pins(Checker* checker, int reset_n, int cke, int temperature) {
  checker->pins(reset_n, cke, temperature);
}

// Rows of memory clock, command, pseudo-channel, bank, operand, in order of time.
void checker_run(Checker* checker, const int64_t* rows, size_t count) {
  for (const int64_t* row = rows; row != rows + 5 * count; row += 5) {
    checker->advance(row[0] - checker->now());
    checker->command(static_cast<hbm::Command>(row[1]), static_cast<int>(row[2]), static_cast<int>(row[3]),
                     static_cast<int>(row[4]));
  }
}

void checker_advance(Checker* checker, int64_t clocks) { checker->advance(clocks); }

int64_t checker_now(const Checker* checker) { return checker->now(); }

uint64_t checker_violations(const Checker* checker) { return checker->violations(); }

size_t checker_rules(const Checker* checker) { return checker->rules(); }

uint64_t checker_count(const Checker* checker, int rule) { return checker->count(rule); }

double checker_owed(const Checker* checker, int pc) { return checker->owed(pc); }

void checker_rule_name(const Checker* checker, int rule, char* to, size_t size) {
  put(checker->rule_name(rule), to, size);
}

// Of the first few violations; false if there is no such one. `numbers` gets memory clock, rule, command,
// pseudo-channel, bank, and of the earlier command its memory clock, number, pseudo-channel and bank, then the memory
// clock from which the command was allowed.
int checker_violation(const Checker* checker, size_t index, int64_t* numbers, char* text, size_t size) {
  if (index >= checker->first().size()) return 0;
  const hbm::Violation& v = checker->first()[index];
  const int64_t values[] = {v.ck,         v.rule,            v.command,    v.pc,           v.bank,
                            v.earlier_ck, v.earlier_command, v.earlier_pc, v.earlier_bank, v.allowed_from};
  std::memcpy(numbers, values, sizeof(values));
  put(checker->describe(v), text, size);
  return 1;
}

// `modes`: sixteen mode registers of a device that is initialised, or null.
Device* device_new(const hbm::Organisation* organisation, const uint8_t* modes) {
  return new Device(*organisation, modes);
}

void device_delete(Device* device) { delete device; }

int device_clock(Device* device, const hbm::Drive* drive) { return device->clock(*drive); }

void device_sense(const Device* device, hbm::Sense* to) { *to = device->sense(); }

// Words of 32 data bytes, and of 4 check bytes, from a place on: column by column, then row by row of the bank.
void device_load(Device* device, int pc, int bank, uint32_t row, int column, size_t count, const uint8_t* data,
                 const uint8_t* check) {
  for (size_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(word.data, data + i * sizeof(word.data), sizeof(word.data));
    std::memcpy(word.check, check + i * sizeof(word.check), sizeof(word.check));
    const size_t place = column + i;
    device->write(pc, bank, row + static_cast<uint32_t>(place / hbm::COLUMNS), place % hbm::COLUMNS, word);
  }
}

void device_dump(const Device* device, int pc, int bank, uint32_t row, int column, size_t count, uint8_t* data,
                 uint8_t* check) {
  for (size_t i = 0; i < count; ++i) {
    Word word;
    const size_t place = column + i;
    device->read(pc, bank, row + static_cast<uint32_t>(place / hbm::COLUMNS), place % hbm::COLUMNS, word);
    std::memcpy(data + i * sizeof(word.data), word.data, sizeof(word.data));
    std::memcpy(check + i * sizeof(word.check), word.check, sizeof(word.check));
  }
}

void device_erase(Device* device) { device->erase(); }

uint64_t device_pages(const Device* device) { return device->pages(); }

void device_flip_bit(Device* device, int pc, int bank, uint32_t row, int column, int bit) {
  device->flip_bit(pc, bank, row, column, bit);
}

void device_stick_bit(Device* device, int pc, int bank, uint32_t row, int column, int bit, int value) {
  device->stick_bit(pc, bank, row, column, bit, value);
}

void device_flip_reads(Device* device, int pc, uint64_t skip, uint64_t count, const Word* mask) {
  device->flip_reads(pc, skip, count, *mask);
}

void device_lose_strobes(Device* device, int pc, uint64_t skip, uint64_t count) {
  device->lose_strobes(pc, skip, count);
}

void device_spoil_command(Device* device, int column_bus, uint64_t skip) { device->spoil_command(column_bus, skip); }

void device_clear_faults(Device* device) { device->clear_faults(); }

void device_signals(Device* device, int temperature, int catastrophic, int update_request) {
  device->set_temperature(temperature);
  device->set_catastrophic(catastrophic);
  device->set_update_request(update_request);
}

int device_mode_register(const Device* device, int number) { return device->mode_register(number); }

int device_open(const Device* device, int pc, int bank) { return device->open(pc, bank); }

uint64_t device_problems(const Device* device) { return device->problems(); }

// Of the first few problems; false if there is no such one.
int device_problem(const Device* device, size_t index, char* to, size_t size) {
  if (index >= device->first_problems().size()) return 0;
  put(device->first_problems()[index], to, size);
  return 1;
}

}  // extern "C"
