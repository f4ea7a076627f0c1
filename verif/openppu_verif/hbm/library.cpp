// The checker as C functions, for library.py. No exception leaves them.

#include <cstring>
#include <exception>

#include "checker.h"

using hbm::Checker;

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

// Rows of memory clock, command, pseudo-channel, bank, in order of time.
void checker_run(Checker* checker, const int64_t* rows, size_t count) {
  for (const int64_t* row = rows; row != rows + 4 * count; row += 4) {
    checker->advance(row[0] - checker->now());
    checker->command(static_cast<hbm::Command>(row[1]), static_cast<int>(row[2]), static_cast<int>(row[3]));
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

}  // extern "C"
