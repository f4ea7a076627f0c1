#include "golden.h"

#include <cstring>

#include "bench_io.h"

namespace hbm {

using namespace native;

namespace {

constexpr size_t KEPT_VERSIONS = 12;
constexpr uint64_t KEPT_CLOCKS = 200'000;  // far longer than a read takes

}  // namespace

Place Mapping::place(uint64_t address) const {
  auto take = [&](int bits) {
    const uint64_t field = address & ((uint64_t{1} << bits) - 1);
    address >>= bits;
    return static_cast<int>(field);
  };
  const int stack_bits = sids == 2 ? 1 : 0;  // with three SIDs it stands above the row
  const int lower = take(3);
  const int pc = take(1);
  int group, bank, upper, sid;
  if (column_lowest) {
    upper = take(2), bank = take(2), group = take(2), sid = take(stack_bits);
  } else {
    group = take(2), bank = take(2), sid = take(stack_bits), upper = take(2);
  }
  const auto row = static_cast<uint32_t>(take(row_bits));
  if (sids > 2) sid = static_cast<int>(address);
  if (hash_banks) {
    group ^= (row ^ upper) & 3;
    bank ^= row >> 2 & 3;
    if (sids == 2) sid ^= row >> 4 & 1;
  }
  return {pc, sid * 16 + group * 4 + bank, upper * 8 + lower, row};
}

Background::Background(const std::vector<uint64_t>& columns) {
  for (size_t bit = 0; bit < columns.size(); ++bit) {
    for (int value = 0; value < 256; ++value) {
      if (value >> bit % 8 & 1) table_[bit / 8][value] ^= static_cast<uint32_t>(columns[bit]);
    }
  }
}

void Background::encode(Word& word) const {
  uint32_t check = 0;
  for (size_t byte = 0; byte < sizeof(word.data); ++byte) check ^= table_[byte][word.data[byte]];
  std::memcpy(word.check, &check, sizeof(word.check));
}

void Background::operator()(int pc, int bank, uint32_t row, int column, Word& word) const {
  const uint64_t place = ((uint64_t(pc) << 6 | uint64_t(bank)) << 32 | row) << 5 | uint64_t(column);
  for (int beat = 0; beat < BEATS; ++beat) {
    const uint64_t value = scramble(place * BEATS + beat);
    std::memcpy(word.data + 8 * beat, &value, sizeof(value));
  }
  encode(word);
}

Word Golden::first(uint64_t address) const {
  Word word{};
  if (address < filled_) return word;
  const Place at = mapping_.place(address);
  background_(at.pc, at.bank, at.row, at.column, word);
  return word;
}

uint32_t Golden::write(uint64_t address, const uint8_t* data, uint32_t mask, uint64_t now) {
  Cell& cell = cells_[address];
  if (cell.versions.empty()) {
    const Word word = first(address);
    Version base;
    std::memcpy(base.data, word.data, sizeof(base.data));
    base.acknowledged = 0;
    cell.versions.push_back(base);
  }
  Version version = cell.versions.back();
  for (int byte = 0; byte < 32; ++byte) {
    if (mask >> byte & 1) version.data[byte] = data[byte];
  }
  version.acknowledged = NEVER;
  while (cell.versions.size() > KEPT_VERSIONS && cell.versions[1].acknowledged != NEVER &&
         cell.versions[1].acknowledged + KEPT_CLOCKS < now) {
    cell.versions.erase(cell.versions.begin());
    ++cell.first;
  }
  cell.versions.push_back(version);
  return cell.first + static_cast<uint32_t>(cell.versions.size()) - 1;
}

void Golden::acknowledge(uint64_t address, uint32_t version, uint64_t now) {
  Cell& cell = cells_[address];
  if (version >= cell.first) cell.versions[version - cell.first].acknowledged = now;
}

Seen Golden::read(uint64_t address, bool own) const {
  const auto found = cells_.find(address);
  if (found == cells_.end()) return {address, 0, own ? 0 : UINT32_MAX};
  const Cell& cell = found->second;
  const auto latest = static_cast<uint32_t>(cell.versions.size()) - 1;
  if (own) return {address, cell.first + latest, cell.first + latest};
  uint32_t least = latest;
  while (least > 0 && cell.versions[least].acknowledged == NEVER) --least;
  return {address, cell.first + least, UINT32_MAX};
}

bool Golden::matches(const Seen& seen, const uint8_t* data) const {
  const auto found = cells_.find(seen.address);
  if (found == cells_.end()) {
    const Word word = first(seen.address);
    return std::memcmp(word.data, data, sizeof(word.data)) == 0;
  }
  const Cell& cell = found->second;
  for (size_t index = 0; index < cell.versions.size(); ++index) {
    const uint32_t number = cell.first + static_cast<uint32_t>(index);
    if (number < seen.least || number > seen.most) continue;
    if (std::memcmp(cell.versions[index].data, data, 32) == 0) return true;
  }
  return false;
}

}  // namespace hbm
