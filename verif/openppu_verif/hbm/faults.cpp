#include "faults.h"

#include <stdexcept>

namespace hbm {

namespace {

constexpr int WORD_BITS = 288, DATA_LANES = 8;

void flip(Word& mask, int64_t bit) {
  if (bit < 0 || bit >= WORD_BITS) throw std::runtime_error("bit " + std::to_string(bit) + ": give one from 0 to 287");
  reinterpret_cast<uint8_t*>(&mask)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
}

}  // namespace

void inject(Device& device, const std::string& name, const std::vector<int64_t>& values) {
  auto at = [&](size_t index) {
    if (index >= values.size()) throw std::runtime_error("event " + name + ": a number is missing");
    return values[index];
  };
  auto number = [&](size_t index) { return static_cast<int>(at(index)); };
  auto count = [&](size_t index) { return static_cast<uint64_t>(at(index)); };
  auto pc = [&] {
    if (number(0) < 0 || number(0) >= PCS) throw std::runtime_error("event " + name + ": there are PCs 0 and 1");
    return number(0);
  };
  auto bit = [&](size_t index) {
    Word unused{};
    flip(unused, at(index));
    return number(index);
  };
  if (name == "temperature") {
    const int code = number(0);
    if (code < 0 || code > 7) throw std::runtime_error("event temperature: it has three bits");
    device.set_temperature(code);
  } else if (name == "catastrophic") {
    device.set_catastrophic(number(0) != 0);
  } else if (name == "update_request") {
    device.set_update_request(number(0) != 0);
  } else if (name == "flip_bit") {
    device.flip_bit(pc(), number(1), static_cast<uint32_t>(at(2)), number(3), bit(4));
  } else if (name == "stick_bit") {
    device.stick_bit(pc(), number(1), static_cast<uint32_t>(at(2)), number(3), bit(4), at(5) != 0);
  } else if (name == "flip_reads") {
    Word mask{};
    for (size_t index = 3; index < values.size(); ++index) flip(mask, values[index]);
    device.flip_reads(pc(), count(1), count(2), mask);
  } else if (name == "flip_lane") {
    const int lane = number(1);
    if (lane < 0 || lane > DATA_LANES) throw std::runtime_error("event flip_lane: there are lanes 0 to 8");
    Word mask{};
    for (int beat = 0; beat < BEATS; ++beat) {
      (lane == DATA_LANES ? mask.check[beat] : mask.data[DATA_LANES * beat + lane]) = 0xff;
    }
    device.flip_reads(pc(), count(2), count(3), mask);
  } else if (name == "lose_strobes") {
    device.lose_strobes(pc(), count(1), count(2));
  } else if (name == "spoil_command") {
    device.spoil_command(number(0) != 0, count(1));
  } else if (name == "clear_faults") {
    device.clear_faults();
  } else {
    throw std::runtime_error("unknown event " + name);
  }
}

}  // namespace hbm
