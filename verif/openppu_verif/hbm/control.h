// The software of a controller: register accesses through AXI4-Lite, one after the other, as a script says.

#ifndef OPENPPU_HBM_CONTROL_H
#define OPENPPU_HBM_CONTROL_H

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "bench_io.h"
#include "model.h"

namespace hbm {

using namespace native;

// An access, as a line of the script has it: KIND OFFSET VALUE MASK.
struct Access {
  enum Kind {
    WRITE,        // VALUE, answered OKAY
    REFUSE,       // VALUE is written, and answered with an error
    READ,         // what comes is kept
    REFUSE_READ,  // answered with an error, and zeros
    CHECK,        // what comes, under MASK, is VALUE
    WAIT,         // read again and again until it is
  } kind;
  uint32_t offset, value, mask;

  explicit Access(const std::string& text);
  bool writes() const { return kind == WRITE || kind == REFUSE; }
};

std::vector<Access> script(const std::vector<std::string>& lines);

class Control {
 public:
  // The pins of a model that has a control port.
  Control(const std::map<std::string, Pin>& ports, uint64_t seed);
  static bool stands_before(const std::map<std::string, Pin>& ports) { return ports.count("control.awaddr") > 0; }

  // What is to be done after all that is there already.
  void add(const std::vector<Access>& accesses);
  // Only the access on its way is still finished; after a reset, not even that.
  void drop();
  void reset();

  // Before and after the rising edge of a clock.
  void drive();
  void take();

  bool idle() const { return queue_.empty() && !under_way_; }
  uint64_t done() const { return done_; }  // accesses
  const std::map<uint32_t, uint32_t>& kept() const { return kept_; }
  const std::vector<std::string>& complaints() const { return complaints_; }
  uint64_t refused() const { return refused_; }

 private:
  const Pin& pin(const std::string& name) const;
  void finish(uint32_t data, uint32_t response);

  const std::map<std::string, Pin>& ports_;
  Random random_;
  std::deque<Access> queue_;
  bool under_way_ = false, address_offered_ = false, address_went_ = false, data_offered_ = false, data_went_ = false;
  int pause_ = 0;
  uint64_t done_ = 0, refused_ = 0, asked_ = 0;
  std::map<uint32_t, uint32_t> kept_;
  std::vector<std::string> complaints_;
};

}  // namespace hbm

#endif
