// Watches how often the neighbours of each row are activated, by the guarantee that docs/hbm.md states.
//
// It knows commands only: not the controller's tables, and not which rows the device's own refreshes reach.

#ifndef OPENPPU_HBM_ROW_WATCH_H
#define OPENPPU_HBM_ROW_WATCH_H

#include <cstdint>
#include <string>
#include <unordered_map>

namespace hbm {

struct HammerLimits {
  int64_t threshold = 0;  // 0: nothing is watched
  int64_t window = 0;     // memory clocks (CK)
  int reach = 0;          // rows
};

class RowWatch {
 public:
  explicit RowWatch(const HammerLimits& limits) : limits_(limits) {}

  // An ACT at a memory clock. Returns what is wrong, in words, or nothing.
  std::string activate(int64_t ck, int pc, int bank, uint32_t row);
  void forget() { rows_.clear(); }
  uint64_t most() const { return most_; }  // activations of a neighbour since a row's own

 private:
  static constexpr int MOST_REACH = 2;
  struct Row {
    int64_t first[2 * MOST_REACH] = {};
    uint64_t count[2 * MOST_REACH] = {};  // of each neighbour since this row was activated
  };

  HammerLimits limits_;
  std::unordered_map<uint64_t, Row> rows_;
  uint64_t most_ = 0;
};

}  // namespace hbm

#endif
