// Traffic of one request port: makes requests by a pattern, checks the answers against the golden memory, and measures.

#ifndef OPENPPU_HBM_TRAFFIC_H
#define OPENPPU_HBM_TRAFFIC_H

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bench_io.h"
#include "golden.h"

namespace hbm {

using namespace native;

enum class Order { SEQUENTIAL, RANDOM, STRIDE };

// What a port asks for. Shares are out of 65536; addresses and lengths count accesses of 32 bytes.
struct Pattern {
  Order order = Order::SEQUENTIAL;
  uint64_t base = 0, size = 1, stride = 1;
  uint32_t least = 8, most = 8;        // accesses of a request
  uint32_t reads = 65536;              // share
  uint64_t write_offset = 0;           // of sequential writes: a stream of their own there; 0: the same stream
  uint32_t masked = 0;                 // share of writes whose bytes are masked at random
  uint32_t tags = 1;
  uint32_t outstanding = UINT32_MAX;   // requests
  uint32_t gap = 0;                    // idle clocks after a request
  uint32_t stall = 0;                  // share of clocks in which a request or a word is not offered yet
  uint32_t beyond = 0;                 // share of requests that reach beyond the capacity
  uint64_t capacity = 0;
  uint32_t hold = 0;                   // share of clocks in which a response or an acknowledge is not taken
  uint32_t stripe = 8;                 // accesses; of all ports the same, and as long as any request at least
  uint32_t ports = 1;                  // how many share the memory: each writes only its stripes
  uint32_t index = 0;                  // which of them

  explicit Pattern(const std::string& text);  // key=value words
};

struct Request {
  bool write, refused;
  uint64_t address;
  uint32_t accesses, tag;
};

struct WriteWord {
  uint8_t data[32];
  uint32_t mask;
};

class Traffic {
 public:
  Traffic(const Pattern& pattern, Golden& golden, uint64_t seed);

  // Each clock: what is offered and whether answers are taken, and then what happened.
  void begin(uint64_t now, bool more);
  bool request_valid() const { return offering_; }
  const Request& request() const { return next_; }
  bool word_valid() const { return word_offering_; }
  const WriteWord& word() const { return words_.front(); }
  bool response_ready() const { return response_ready_; }
  bool acknowledge_ready() const { return acknowledge_ready_; }

  void request_taken();
  void word_taken();
  void response(uint32_t tag, bool last, bool error, bool corrected, const uint8_t* data);
  void acknowledged(uint32_t tag, bool error);

  // From now on, requests may be refused whatever they ask for; what was taken before is done.
  void overheat();

  // The channel was reset: nothing that was asked for is answered.
  void forget();

  bool idle() const { return outstanding_ == 0 && words_.empty(); }
  uint32_t outstanding() const { return outstanding_; }

  // Of the measuring window, which the bench opens and closes.
  void measure(bool on) { measuring_ = on; }
  uint64_t beats_read = 0, words_written = 0, reads_done = 0, error_beats = 0, refused = 0, turned_away = 0;
  uint64_t corrected_beats = 0;
  uint64_t reads_answered = 0;      // since the channel was reset, in the window or not
  std::vector<uint32_t> latencies;  // of reads: count by clocks from the first offer to the last beat

  uint64_t wrong = 0;  // answers
  std::vector<std::string> complaints;

 private:
  struct Reading {
    std::deque<Seen> beats;
    uint64_t offered;
    bool measured, refused;
    bool begun = false, turned_away = false, kept = false;
  };
  struct Writing {
    uint64_t address;
    bool refused;
    std::vector<uint32_t> versions;
  };

  void make();
  void offer();
  bool own(uint64_t address) const {
    return (address - pattern_.base) / pattern_.stripe % pattern_.ports == pattern_.index;
  }
  void complain(const std::string& text);

  Pattern pattern_;
  Golden& golden_;
  Random random_;
  uint64_t now_ = 0, serial_ = 0, free_from_ = 0;
  uint64_t cursor_[2] = {0, 0};
  Request next_{};
  bool made_ = false, offering_ = false, word_offering_ = false;
  bool response_ready_ = false, acknowledge_ready_ = false, measuring_ = false, too_hot_ = false;
  uint32_t outstanding_ = 0;
  std::deque<WriteWord> words_;
  std::vector<std::deque<Reading>> reading_;  // by tag
  std::vector<std::deque<Writing>> writing_;
};

}  // namespace hbm

#endif
