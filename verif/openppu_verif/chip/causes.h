// What engines' cycles go to, as spans.

#ifndef OPENPPU_CHIP_CAUSES_H
#define OPENPPU_CHIP_CAUSES_H

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "model.h"

namespace chip {

// A cause, its first clock, and the one behind its last; as native.py has it.
struct Span {
  uint64_t cause, begin, end;
};

// Of all engines of a chip.
class Causes {
 public:
  static constexpr size_t MOST = 1 << 16;  // spans of an engine that are kept: the last ones

  explicit Causes(const native::Model& model) {
    for (const auto& [name, pin] : model.ports)
      if (name.rfind("probe.", 0) == 0) engines_.resize(engines_.size() + 1);
    for (size_t number = 0; number < engines_.size(); ++number)
      engines_[number].cause = model.port("probe." + std::to_string(number));
  }

  // The chip has been reset: clocks count from the next one on.
  void restart(uint64_t clock) {
    start_ = clock;
    watch(on_);
  }

  // Begin anew, or end.
  void watch(bool on) {
    on_ = on;
    if (on)
      for (Engine& engine : engines_) engine.spans.clear();
  }

  void look(uint64_t clock) {
    if (!on_) return;
    clock -= start_;
    for (Engine& engine : engines_) {
      const uint64_t cause = engine.cause.number();
      if (!engine.spans.empty() && engine.spans.back().cause == cause) {
        engine.spans.back().end = clock + 1;
        continue;
      }
      if (engine.spans.size() == MOST) engine.spans.pop_front();
      engine.spans.push_back({cause, clock, clock + 1});
    }
  }

  std::vector<Span> spans(size_t number) const {
    const auto& found = engines_.at(number).spans;
    return {found.begin(), found.end()};
  }

 private:
  struct Engine {
    native::Pin cause;
    std::deque<Span> spans;
  };
  std::vector<Engine> engines_;
  uint64_t start_ = 0;
  bool on_ = false;
};

}  // namespace chip

#endif
