// Digests of what a channel's outputs do, clock by clock: two runs with the same digests did the same.

#ifndef OPENPPU_HBM_DIGEST_H
#define OPENPPU_HBM_DIGEST_H

#include <cstdint>
#include <cstring>
#include <map>
#include <string>

#include "device.h"
#include "model.h"

namespace hbm {

using namespace native;

class Digest {
 public:
  void add(uint64_t number) {
    value_ = (value_ ^ number) * 0x9e3779b97f4a7c15;
    value_ ^= value_ >> 32;
  }
  void add(const uint8_t* bytes, size_t count) {
    for (size_t at = 0; at < count; at += 8) {
      uint64_t number = 0;
      std::memcpy(&number, bytes + at, count - at < 8 ? count - at : 8);
      add(number);
    }
  }
  void add(const Pin& pin) { add(pin.at, pin.bytes); }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

// Of a channel. What an output holds while nothing says that it is valid does not count.
class ChannelDigest {
 public:
  // The commands, the words to write, and the pins beside them.
  void bus(uint64_t clock, const Drive& drive, uint64_t update_acknowledge);
  // A stream from the channel; and that the channel takes one to it.
  void stream_out(const Pin& valid, const Pin& payload);
  void stream_in(const Pin& ready) { ports_.add(ready.number()); }
  void counters(const Pin& pin) { counters_.add(pin); }
  void flag(const Pin& pin) { flags_.add(pin); }
  void record(const Pin& pin, bool valid);

  std::map<std::string, uint64_t> values() const;

 private:
  Digest commands_, words_, ports_, counters_, flags_;
};

}  // namespace hbm

#endif
