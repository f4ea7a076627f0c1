// What memory must read as: the versions of each access, with the ordering rules of docs/hbm.md.
//
// Only one port writes any one access, so its versions have an order. A read by that port sees exactly those offered
// before it; a read by another sees at least what was acknowledged before it was offered, and nothing that was not yet
// offered when it is answered.

#ifndef OPENPPU_HBM_GOLDEN_H
#define OPENPPU_HBM_GOLDEN_H

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "device.h"

namespace hbm {

struct Place {
  int pc, bank, column;
  uint32_t row;
};

// Where an address lies, by the table of docs/hbm.md.
struct Mapping {
  bool column_lowest = false, hash_banks = false;
  int sids = 1, row_bits = 15;

  Place place(uint64_t address) const;
  uint64_t accesses() const { return (uint64_t{1} << (row_bits + 10)) * static_cast<uint64_t>(sids); }
};

// The contents of memory never written: of each place its own, with the right check bits.
class Background {
 public:
  // The check bits of the word of each data bit alone, 256 of them.
  explicit Background(const std::vector<uint64_t>& columns);
  void operator()(int pc, int bank, uint32_t row, int column, Word& word) const;
  void encode(Word& word) const;

 private:
  std::array<std::array<uint32_t, 256>, 32> table_{};  // of each byte of a word and its value
};

// The versions that a read may see; of an access never written, version 0 is its background.
struct Seen {
  uint64_t address;
  uint32_t least, most;
};

class Golden {
 public:
  Golden(const Mapping& mapping, const Background& background) : mapping_(mapping), background_(background) {}

  // A write is offered: returns the version's number.
  uint32_t write(uint64_t address, const uint8_t* data, uint32_t mask, uint64_t now);
  void acknowledge(uint64_t address, uint32_t version, uint64_t now);
  // A read is offered, by the port that alone writes there or by another.
  Seen read(uint64_t address, bool own) const;
  void forget() { cells_.clear(); }
  // The accesses below this one hold zeros before anything is written.
  void fill(uint64_t end) { filled_ = end; }
  bool matches(const Seen& seen, const uint8_t* data) const;

 private:
  static constexpr uint64_t NEVER = UINT64_MAX;
  struct Version {
    uint8_t data[32];
    uint64_t acknowledged;
  };
  struct Cell {
    uint32_t first = 0;
    std::vector<Version> versions;
  };

  // What an access holds before anything is written.
  Word first(uint64_t address) const;

  Mapping mapping_;
  const Background& background_;
  uint64_t filled_ = 0;
  std::unordered_map<uint64_t, Cell> cells_;
};

}  // namespace hbm

#endif
