#include "host.h"

#include <cstring>
#include <stdexcept>
#include <utility>

namespace chip {

namespace {

constexpr uint64_t PATIENCE = 1'000'000;  // clocks that an access may take

// Bytes up to the next 4 KiB.
size_t burst(uint64_t address, size_t left) {
  const size_t room = BEAT * MOST_BEATS - address % (BEAT * MOST_BEATS);
  return left < room ? left : room;
}

}  // namespace

Host::Host(const native::Model& model, std::function<void()> clock, std::function<bool()> pausing)
    : model_(model), clock_(std::move(clock)), pausing_(std::move(pausing)) {}

int Host::access(uint32_t address, bool write, uint32_t& value) {
  if (!write) {
    registers("araddr").set(address);
    hand_over(registers("arvalid"), registers("arready"));
    await(registers("rvalid"), registers("rready"));
    value = static_cast<uint32_t>(registers("rdata").number());
    return static_cast<int>(registers("rresp").number());
  }
  registers("awaddr").set(address);
  registers("wdata").set(value);
  registers("wstrb").set(15);
  registers("awvalid").set(1);
  registers("wvalid").set(1);
  bool asked = false, given = false;
  for (uint64_t wait = 0; !(asked && given); ++wait) {
    if (wait == PATIENCE) throw std::runtime_error("a write of a register is not taken");
    clock_();
    asked |= registers("awvalid").number() && registers("awready").number();
    given |= registers("wvalid").number() && registers("wready").number();
    if (asked) registers("awvalid").set(0);
    if (given) registers("wvalid").set(0);
  }
  await(registers("bvalid"), registers("bready"));
  return static_cast<int>(registers("bresp").number());
}

int Host::write(uint64_t address, const Bytes& bytes) {
  int response = 0;
  for (size_t done = 0; done < bytes.size();) {
    const size_t count = burst(address + done, bytes.size() - done);
    begin("aw", address + done, count);
    const uint64_t first = (address + done) / BEAT * BEAT;
    const int beats = static_cast<int>((address + done + count - 1) / BEAT - first / BEAT) + 1;
    for (int beat = 0; beat < beats; ++beat) {
      uint64_t strobes = 0;
      uint8_t data[BEAT] = {};
      for (int byte = 0; byte < BEAT; ++byte) {
        const uint64_t at = first + static_cast<uint64_t>(beat) * BEAT + static_cast<uint64_t>(byte);
        if (at < address + done || at >= address + done + count) continue;
        data[byte] = bytes[at - address];
        strobes |= uint64_t{1} << byte;
      }
      std::memcpy(window("wdata").at, data, BEAT);
      window("wstrb").set(strobes);
      window("wlast").set(beat == beats - 1);
      hand_over(window("wvalid"), window("wready"));
    }
    await(window("bvalid"), window("bready"));
    response |= static_cast<int>(window("bresp").number());
    done += count;
  }
  return response;
}

int Host::read(uint64_t address, Bytes& bytes) {
  int response = 0;
  for (size_t done = 0; done < bytes.size();) {
    const size_t count = burst(address + done, bytes.size() - done);
    begin("ar", address + done, count);
    const uint64_t first = (address + done) / BEAT * BEAT;
    const int beats = static_cast<int>((address + done + count - 1) / BEAT - first / BEAT) + 1;
    for (int beat = 0; beat < beats; ++beat) {
      await(window("rvalid"), window("rready"));
      response |= static_cast<int>(window("rresp").number());
      for (int byte = 0; byte < BEAT; ++byte) {
        const uint64_t at = first + static_cast<uint64_t>(beat) * BEAT + static_cast<uint64_t>(byte);
        if (at >= address + done && at < address + done + count) bytes[at - address] = window("rdata").at[byte];
      }
    }
    done += count;
  }
  return response;
}

std::vector<Found> Host::read_bursts(const std::vector<Burst>& bursts) {
  size_t asked = 0, left = 0;
  for (const Burst& each : bursts) left += each.length + 1;
  std::vector<Found> found;
  for (uint64_t wait = 0; left > 0; ++wait) {
    if (wait == PATIENCE) throw std::runtime_error("the chip does not answer a burst");
    if (asked < bursts.size()) ask("ar", bursts[asked]);
    window("arvalid").set(asked < bursts.size());
    window("rready").set(!pausing_());
    clock_();
    asked += window("arvalid").number() && window("arready").number();
    if (!window("rvalid").number() || !window("rready").number()) continue;
    found.push_back(answered("r"));
    found.back().last = static_cast<uint32_t>(window("rlast").number());
    std::memcpy(found.back().data, window("rdata").at, BEAT);
    --left;
  }
  window("rready").set(0);
  clock_();
  return found;
}

std::vector<Found> Host::write_bursts(const std::vector<Burst>& bursts, const std::vector<Given>& beats) {
  size_t asked = 0, burst = 0, beat = 0, place = 0;
  std::vector<Found> found;
  for (uint64_t wait = 0; found.size() < bursts.size(); ++wait) {
    if (wait == PATIENCE) throw std::runtime_error("the chip does not answer a burst");
    if (asked < bursts.size()) ask("aw", bursts[asked]);
    window("awvalid").set(asked < bursts.size());
    // A beat that has been offered stays.
    const bool offered = window("wvalid").number() || (burst < asked && !pausing_());
    window("wvalid").set(offered);
    if (offered) {
      std::memcpy(window("wdata").at, beats.at(place).data, BEAT);
      window("wstrb").set(beats[place].strobes);
      window("wlast").set(beat == bursts[burst].length);
    }
    window("bready").set(!pausing_());
    clock_();
    asked += window("awvalid").number() && window("awready").number();
    if (offered && window("wready").number()) {
      window("wvalid").set(0);
      ++place;
      const bool last = beat == bursts[burst].length;
      burst += last;
      beat = last ? 0 : beat + 1;
    }
    if (window("bvalid").number() && window("bready").number()) found.push_back(answered("b"));
  }
  window("bready").set(0);
  clock_();
  return found;
}

void Host::ask(const std::string& channel, const Burst& burst) const {
  window(channel + "addr").set(burst.address);
  window(channel + "id").set(burst.id);
  window(channel + "len").set(burst.length);
  window(channel + "size").set(burst.size);
  window(channel + "burst").set(burst.kind);
}

Found Host::answered(const std::string& channel) const {
  Found found{};
  found.id = static_cast<uint32_t>(window(channel + "id").number());
  found.response = static_cast<uint32_t>(window(channel + "resp").number());
  return found;
}

void Host::begin(const std::string& channel, uint64_t address, size_t count) {
  const uint64_t beats = (address + count - 1) / BEAT - address / BEAT + 1;
  window(channel + "addr").set(address / BEAT * BEAT);
  window(channel + "id").set(0);
  window(channel + "len").set(beats - 1);
  window(channel + "size").set(5);
  window(channel + "burst").set(1);
  hand_over(window(channel + "valid"), window(channel + "ready"));
}

void Host::pause() {
  while (pausing_()) clock_();
}

void Host::hand_over(native::Pin valid, native::Pin ready) {
  pause();
  valid.set(1);
  uint64_t wait = 0;
  do {
    if (wait++ == PATIENCE) throw std::runtime_error("the chip does not take an access");
    clock_();
  } while (!ready.number());
  valid.set(0);
}

void Host::await(native::Pin valid, native::Pin ready) {
  pause();
  ready.set(1);
  uint64_t wait = 0;
  do {
    if (wait++ == PATIENCE) throw std::runtime_error("the chip does not answer an access");
    clock_();
  } while (!valid.number());
  ready.set(0);
}

}  // namespace chip
