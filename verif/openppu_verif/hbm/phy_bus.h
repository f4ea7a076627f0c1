// What memory_file.py tells of a channel: its organisation, and the command slots of the PHY's row and column buses, as fields of two bit vectors (memory_file.py names them).

#ifndef OPENPPU_HBM_PHY_BUS_H
#define OPENPPU_HBM_PHY_BUS_H

#include "bench_io.h"
#include "device.h"

namespace hbm {

using namespace native;

inline Organisation organisation_of(const Parameters& given) {
  const std::vector<uint64_t> values = given.numbers("device");
  auto number = [&](size_t index) { return static_cast<int32_t>(values.at(index)); };
  return {number(0), number(1), number(2), number(3), number(4)};
}

class PhyBus {
 public:
  explicit PhyBus(const Parameters& given)
      : row_codes_(given.numbers("row_codes")), column_codes_(given.numbers("column_codes")) {
    for (int slot = 0; slot < 2; ++slot) {
      const std::string row = "row" + std::to_string(slot) + ".", column = "column" + std::to_string(slot) + ".";
      row_[slot] = {given.field(row + "command"), given.field(row + "pc"), given.field(row + "bank"),
                    given.field(row + "row")};
      column_[slot] = {given.field(column + "command"), given.field(column + "bank"), given.field(column + "column"),
                       given.field(column + "operand")};
    }
  }

  // The commands of both slots, from the bytes of the two buses.
  void decode(const uint8_t* row, const uint8_t* column, Drive& drive) const {
    for (int slot = 0; slot < 2; ++slot) {
      auto number = [](const Field& field, const uint8_t* bus) { return static_cast<int32_t>(field.get(bus)); };
      const auto& [row_command, pc, row_bank, row_row] = row_[slot];
      const auto& [column_command, bank, column_column, operand] = column_[slot];
      drive.row[slot] = {static_cast<int32_t>(row_codes_.at(row_command.get(row))), number(pc, row),
                         number(row_bank, row), number(row_row, row)};
      drive.column[slot] = {static_cast<int32_t>(column_codes_.at(column_command.get(column))), number(bank, column),
                            number(column_column, column), number(operand, column)};
    }
  }

 private:
  using Fields = std::array<Field, 4>;

  Fields row_[2], column_[2];
  std::vector<uint64_t> row_codes_, column_codes_;  // a `Command` of each code on the buses
};

}  // namespace hbm

#endif
