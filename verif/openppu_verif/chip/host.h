// A chip's host: accesses to its registers and through its window to memory, clock by clock.

#ifndef OPENPPU_CHIP_HOST_H
#define OPENPPU_CHIP_HOST_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model.h"

namespace chip {

constexpr int BEAT = 32;         // bytes
constexpr int MOST_BEATS = 128;  // of a burst: 4 KiB

using Bytes = std::vector<uint8_t>;

// Of the window: a burst, a beat that is written, and one that is read or an answer.
struct Burst {
  uint64_t address;
  uint32_t id, length, size, kind;
};
struct Given {
  uint8_t data[BEAT];
  uint32_t strobes;
};
struct Found {
  uint32_t id, response, last;
  uint8_t data[BEAT];
};

class Host {
 public:
  // `clock` lets a clock of the chip pass; `pausing` says that the host is not there in the next one.
  Host(const native::Model& model, std::function<void()> clock, std::function<bool()> pausing);

  // An access to a register; the response that AXI gives.
  int access(uint32_t address, bool write, uint32_t& value);

  // Bytes of the chip's memory: bursts of up to 4 KiB, one after the other.
  int write(uint64_t address, const Bytes& bytes);
  int read(uint64_t address, Bytes& bytes);

  // Bursts, all of which are asked for as soon as the chip takes them. Their beats as they come.
  std::vector<Found> read_bursts(const std::vector<Burst>& bursts);

  // The same of writes, each of whose beats follow it; their answers as they come.
  std::vector<Found> write_bursts(const std::vector<Burst>& bursts, const std::vector<Given>& beats);

 private:
  native::Pin registers(const std::string& name) const { return model_.port("registers." + name); }
  native::Pin window(const std::string& name) const { return model_.port("window." + name); }
  void ask(const std::string& channel, const Burst& burst) const;
  Found answered(const std::string& channel) const;
  void begin(const std::string& channel, uint64_t address, size_t count);
  void pause();
  void hand_over(native::Pin valid, native::Pin ready);
  void await(native::Pin valid, native::Pin ready);

  const native::Model& model_;
  std::function<void()> clock_;
  std::function<bool()> pausing_;
};

}  // namespace chip

#endif
