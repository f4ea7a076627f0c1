// Packets into and out of a port, and what must come of them: each once, in the order of its channel, unchanged.

#ifndef OPENPPU_LINK_PACKETS_H
#define OPENPPU_LINK_PACKETS_H

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench_io.h"
#include "model.h"

namespace link {

constexpr size_t HEADER_BYTES = 10;

// Where things stand in a word of a packet.
struct WordLayout {
  explicit WordLayout(const native::Parameters& parameters);

  native::Field operation, length, count, filled, cut, first, last;
  size_t header, data, data_bytes;  // bytes
  uint64_t brings_data;             // a bit an operation
};

struct Packet {
  std::array<uint8_t, HEADER_BYTES> header{};
  uint32_t bytes = 0;  // of data
  uint64_t seed = 0;   // of its data
  uint64_t begun = 0;  // when its first word was taken
  bool may_be_lost = false;
  const uint8_t* given = nullptr;  // its data, if not drawn from the seed

  uint8_t byte(uint32_t place) const {
    return given ? given[place] : static_cast<uint8_t>(native::scramble(seed + place / 8) >> 8 * (place % 8));
  }
};

// What one end offers on a channel.
struct Traffic {
  uint32_t least = 1, most = 4096;   // bytes of data
  uint64_t operations = 0;           // a bit each; drawn evenly
  uint32_t pause = 0;                // of 65,536 clocks between packets, that share is idle
  uint32_t stall = 0;                // and between words of a packet
  uint32_t hold = 0;                 // share of clocks in which the other end takes nothing
  uint64_t packets = ~uint64_t{0};   // at most
};

// Of one channel, one way.
class Flow {
 public:
  Flow(std::string name, const WordLayout& layout, const Traffic& traffic, uint64_t seed, native::Pin valid,
       native::Pin ready, native::Pin payload, native::Pin out_valid, native::Pin out_ready, native::Pin out_payload);

  void drive_in(bool more);  // before the sender's clock; `more`: new packets may begin
  void sample_in(uint64_t now);
  void drive_out();
  void sample_out(uint64_t now);

  void sender_reset();    // what it had taken may be lost, and the packet that it was given is gone
  void receiver_reset();
  void link_reset();      // what is on its way may be lost
  bool empty() const;     // nothing is on its way or half delivered, but for what a reset may have lost

  using Header = std::array<uint8_t, HEADER_BYTES>;
  void fix(const Header& mask, const Header& value) { mask_ = mask, fixed_ = value; }  // bits of every header

  void carry(std::vector<uint8_t> file) { file_ = std::move(file), carried_ = 0; }  // as data, packet by packet
  const std::vector<uint8_t>& arrived() const { return arrived_; }                  // of what is carried

  uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;  // bytes: headers and data
  uint64_t data_out = 0, lost = 0, wrong = 0;
  uint64_t operations_out = 0;              // a bit each
  uint64_t longest_gap = 0;                 // clocks from one word out to the next
  std::map<uint64_t, uint64_t> latencies;   // clocks from a packet's first word in to its first word out
  std::vector<std::string> problems;        // the first few

 private:
  void begin_packet();
  void word_in();
  void wrong_word(const std::string& what);
  void check_word(uint64_t now);

  std::string name_;
  const WordLayout& layout_;
  Traffic traffic_;
  native::Random random_;
  native::Pin valid_, ready_, payload_, out_valid_, out_ready_, out_payload_;

  std::optional<Packet> sending_;
  uint32_t sent_ = 0;        // bytes of it
  bool offered_ = false;
  uint64_t begun_packets_ = 0;

  Header mask_{}, fixed_{};
  std::vector<uint8_t> file_, arrived_;
  size_t carried_ = 0;

  std::deque<Packet> expected_;
  bool receiving_ = false;   // within the first of them
  uint32_t received_ = 0;
  uint64_t last_out_ = 0, operation_ = 0;
  bool ready_now_ = false;
  std::vector<uint8_t> waits_;
};

}  // namespace link

#endif
