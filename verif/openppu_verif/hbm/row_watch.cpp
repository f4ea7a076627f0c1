#include "row_watch.h"

namespace hbm {

namespace {

constexpr int64_t SLACK = 256;  // CK by which a window may begin late

uint64_t key(int pc, int bank, int64_t row) {
  return (static_cast<uint64_t>(pc) << 8 | static_cast<uint64_t>(bank)) << 32 | static_cast<uint64_t>(row);
}

}  // namespace

std::string RowWatch::activate(int64_t ck, int pc, int bank, uint32_t row) {
  if (limits_.threshold == 0) return "";
  rows_.erase(key(pc, bank, row));
  std::string wrong;
  for (int place = 0; place < 2 * limits_.reach; ++place) {
    const int64_t victim = row + int64_t{place / 2 + 1} * (place % 2 ? 1 : -1);
    if (victim < 0) continue;
    Row& at = rows_[key(pc, bank, victim)];
    if (at.count[place]++ == 0) at.first[place] = ck;
    if (at.count[place] > most_) most_ = at.count[place];
    const int64_t windows = 2 + (ck - at.first[place] + SLACK) / limits_.window;
    const auto allowed = static_cast<uint64_t>((limits_.threshold + 2 * limits_.reach) * windows);
    if (at.count[place] > allowed && wrong.empty()) {
      wrong = "row " + std::to_string(row) + " of PC " + std::to_string(pc) + " bank " + std::to_string(bank) + ": " +
              std::to_string(at.count[place]) + " activations since row " + std::to_string(victim) + " had one, " +
              std::to_string(allowed) + " allowed";
    }
  }
  return wrong;
}

}  // namespace hbm
