// Two link layers and the channel between them: random traffic, wrong bits, lost and doubled beats, stops, resets.
// Every flit must arrive once, in order in its channel, as it was sent.
//
// usage: simulator key=value...; prints key=value lines.

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int kChannels = 6;
constexpr int kBeat = BEAT_BYTES;
constexpr int kBeats = 256 / kBeat;
constexpr int kPayload = PAYLOAD_BYTES;
constexpr unsigned kChecked = CHECKED_BYTES;  // of a flit, by its CRC or its code words; what is behind may be wrong
constexpr int kPayloadBeats = (kPayload + kBeat - 1) / kBeat;

using Beat = std::array<uint8_t, kBeat>;

template <class Port>
void put(Port& port, const Beat& beat) {
  static_assert(sizeof(Port) >= kBeat);
  std::memcpy(&port, beat.data(), kBeat);
}

template <class Port>
Beat get(const Port& port) {
  Beat beat;
  std::memcpy(beat.data(), &port, kBeat);
  return beat;
}

struct Flit {
  int channel = 0;
  int used = 0;
  bool cut = false;
  std::vector<uint8_t> bytes;
};

struct Wire {
  uint64_t arrives;
  Beat data;
  bool first, last;
};

struct Options {
  std::map<std::string, double> values{{"clocks", 20000}, {"seed", 1},   {"delay", 20}, {"ber", 0},   {"drop", 0},
                                       {"double", 0},     {"stop", 0},   {"hold", 0},   {"rate", 1},  {"want", 1},
                                       {"full", 0},       {"warmup", 0}, {"reset", 0},  {"burst", 1}, {"channels", 6}};
  double operator[](const std::string& name) const { return values.at(name); }
};

class Way {
 public:
  std::deque<Wire> beats;
  bool up = true;
  uint64_t wrong_bits = 0, dropped = 0, doubled = 0, stops = 0, flits = 0, wrong_flits = 0;

  Way(const Options& options, uint64_t seed) : options_(options), random_(seed) { schedule(); }

  bool chance(double p) { return p > 0 && uniform_(random_) < p; }

  void step() {
    if (wait_ > 0) {
      up = --wait_ == 0;
    } else if (chance(options_["stop"])) {
      static const int lengths[] = {1, 2, 3, 10, 100, 1000};
      wait_ = lengths[random_() % 6];
      halt(wait_);
      ++stops;
    }
  }

  void halt(int clocks) {
    up = false;
    wait_ = clocks;
    beats.clear();
    spoiled_ = false;
  }

  void send(uint64_t now, Beat data, bool first, bool last) {
    while (until_ < 8 * kBeat) {
      const auto bit = static_cast<unsigned>(until_);
      data[bit / 8] ^= 1u << bit % 8;
      ++wrong_bits;
      spoiled_ |= place_ + bit / 8 < kChecked;
      if (left_ > 1) {
        --left_;
        until_ += 1;
      } else {
        left_ = static_cast<int>(options_["burst"]);
        schedule();
      }
    }
    until_ -= 8 * kBeat;
    place_ = last ? 0 : place_ + kBeat;
    if (last) {
      ++flits;
      wrong_flits += spoiled_;
      spoiled_ = false;
    }
    if (chance(options_["drop"])) {
      ++dropped;
      spoiled_ = true;
      return;
    }
    uint64_t arrives = now + static_cast<uint64_t>(options_["delay"]);
    if (!beats.empty() && beats.back().arrives >= arrives) arrives = beats.back().arrives + 1;
    beats.push_back({arrives, data, first, last});
    if (chance(options_["double"])) {
      ++doubled;
      beats.push_back({arrives + 1, data, first, last});
    }
  }

 private:
  void schedule() {
    const double ber = options_["ber"] / options_["burst"];
    until_ += ber > 0 ? std::floor(-std::log(1 - uniform_(random_)) / ber) + 1 : 1e18;
  }

  const Options& options_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> uniform_{0, 1};
  double until_ = -1;
  int left_ = static_cast<int>(options_["burst"]);
  int wait_ = 0;
  bool spoiled_ = false;
  unsigned place_ = 0;  // in the flit, of the beat
};

class Side {
 public:
  std::unique_ptr<Vtop> top;
  std::array<std::deque<Flit>, kChannels> on_the_way;
  uint64_t sent = 0, delivered = 0, delivered_bytes = 0;
  std::string complaint;

  Side(VerilatedContext* context, const Options& options, uint64_t seed, const char* name)
      : top(std::make_unique<Vtop>(context, name)), options_(options), random_(seed) {}

  bool chance(double p) { return p >= 1 || uniform_(random_) < p; }

  void forget() {
    for (auto& queue : on_the_way) queue.clear();
    sending_ = false;
    partial_.clear();
  }

  // The inputs for this clock that its user gives; `may_send` is of the clock before's registers.
  void drive(bool quiet) {
    if (!sending_ && !quiet && chance(options_["rate"])) {
      std::vector<int> ready;
      for (int channel = 0; channel < static_cast<int>(options_["channels"]); ++channel)
        if (top->may_send >> channel & 1) ready.push_back(channel);
      if (!ready.empty()) begin(ready[random_() % ready.size()]);
    }
    top->send_valid = sending_;
    if (sending_) {
      Beat beat;
      for (int byte = 0; byte < kBeat; ++byte) {
        const int place = at_ * kBeat + byte;
        beat[byte] = place < 2 * flit_.used ? flit_.bytes[place] : place < kPayload ? 0 : random_();
      }
      put(top->send_data, beat);
      top->send_channel = flit_.channel;
      // What counts with the last beat alone is anything before.
      const bool last = at_ == kPayloadBeats - 1;
      top->send_used = last ? flit_.used : random_() & 127;
      top->send_cut = last ? flit_.cut : random_() & 1;
      top->send_first = at_ == 0;
      top->send_last = last;
    }
    top->receive_ready = chance(0.5 + options_["want"] / 2);
    top->wanted = 0;
    for (int channel = 0; channel < kChannels; ++channel) top->wanted |= chance(options_["want"]) << channel;
  }

  // What happens at the clock's edge.
  void sample(Side& far) {
    if (top->send_valid && top->send_ready) {
      if (at_ == 0) {
        on_the_way[flit_.channel].push_back(flit_);
        ++sent;
      }
      sending_ = ++at_ < kPayloadBeats;
    }
    if (top->receive_valid && top->receive_ready) take(far);
  }

 private:
  void begin(int channel) {
    flit_.channel = channel;
    flit_.used = options_["full"] != 0 || random_() % 3 == 0 ? kPayload / 2 : 1 + random_() % (kPayload / 2);
    flit_.cut = options_["full"] == 0 && random_() % 8 == 0;
    flit_.bytes.resize(2 * flit_.used);
    for (auto& byte : flit_.bytes) byte = random_();
    at_ = 0;
    sending_ = true;
  }

  void take(Side& far) {
    const Beat beat = get(top->receive_data);
    if (top->receive_first != partial_.empty()) complain("a first beat in the wrong place");
    if (partial_.empty()) channel_ = top->receive_channel;
    if (top->receive_channel != channel_) complain("beats of two channels between each other");
    partial_.insert(partial_.end(), beat.begin(), beat.end());
    const bool last = partial_.size() == static_cast<size_t>(kPayloadBeats) * kBeat;
    if (top->receive_last != last) complain("a last beat in the wrong place");
    if (!last) return;
    auto& queue = far.on_the_way[channel_];
    if (queue.empty()) return complain("a flit too many");
    const Flit& expected = queue.front();
    if (top->receive_used != expected.used || top->receive_cut != expected.cut) complain("another flit");
    partial_.resize(2 * expected.used);
    if (partial_ != expected.bytes) complain("wrong bytes");
    queue.pop_front();
    ++delivered;
    delivered_bytes += partial_.size();
    partial_.clear();
  }

  void complain(const char* what) {
    if (complaint.empty()) complaint = what;
    partial_.clear();
  }

  const Options& options_;
  std::mt19937_64 random_;
  std::uniform_real_distribution<double> uniform_{0, 1};
  Flit flit_;
  int at_ = 0;
  bool sending_ = false;
  int channel_ = 0;
  std::vector<uint8_t> partial_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int place = 1; place < argc; ++place) {
    const std::string word = argv[place];
    const auto equals = word.find('=');
    if (equals == std::string::npos || !options.values.count(word.substr(0, equals))) {
      std::fprintf(stderr, "no option %s\n", word.c_str());
      return 2;
    }
    options.values[word.substr(0, equals)] = std::atof(word.c_str() + equals + 1);
  }
  const auto seed = static_cast<uint64_t>(options["seed"]);
  VerilatedContext context;
  Side sides[2] = {{&context, options, 4 * seed, "a"}, {&context, options, 4 * seed + 1, "b"}};
  Way ways[2] = {{options, 4 * seed + 2}, {options, 4 * seed + 3}};  // from side 0, from side 1
  const auto clocks = static_cast<uint64_t>(options["clocks"]), warmup = static_cast<uint64_t>(options["warmup"]);
  const auto reset_every = static_cast<uint64_t>(options["reset"]);
  uint64_t first_bytes[2] = {}, last_bytes[2] = {}, lost_in_reset = 0, clock = 0;
  uint64_t drained = 0;

  for (auto& side : sides) {
    side.top->clk = 0;
    side.top->rst = 1;
    side.top->eval();
    side.top->clk = 1;
    side.top->eval();
    side.top->rst = 0;
  }
  // After the last clock nothing new begins, and all that was sent must arrive.
  for (clock = 0;; ++clock) {
    const bool quiet = clock >= clocks;
    if (clock == clocks)
      for (int number = 0; number < 2; ++number) last_bytes[number] = sides[number].delivered_bytes;
    uint64_t waiting = 0;
    for (auto& side : sides)
      for (auto& queue : side.on_the_way) waiting += queue.size();
    if (quiet && (waiting == 0 || ++drained > 200000)) break;
    if (!sides[0].complaint.empty() || !sides[1].complaint.empty()) break;
    if (clock == warmup)
      for (int number = 0; number < 2; ++number) first_bytes[number] = sides[number].delivered_bytes;

    const bool reset = reset_every != 0 && !quiet && clock % reset_every == reset_every - 1;
    for (auto& way : ways) {
      way.step();
      if (reset) way.halt(static_cast<int>(options["delay"]) + 20);
    }
    if (reset) {
      lost_in_reset += waiting;
      for (auto& side : sides) side.forget();
    }
    for (int number = 0; number < 2; ++number) {
      auto& top = *sides[number].top;
      Way &out = ways[number], &in = ways[1 - number];
      top.clk = 0;
      top.eval();
      sides[number].drive(quiet || reset);
      top.reset_link = reset;
      top.sending = out.up;
      top.receiving = in.up;
      top.transmit_ready = out.up && !out.chance(options["hold"]);
      top.in_valid = !in.beats.empty() && in.beats.front().arrives <= clock;
      if (top.in_valid) {
        put(top.in_data, in.beats.front().data);
        top.in_first = in.beats.front().first;
        top.in_last = in.beats.front().last;
        in.beats.pop_front();
      }
      top.eval();
    }
    for (int number = 0; number < 2; ++number) {
      auto& top = *sides[number].top;
      if (!reset) sides[number].sample(sides[1 - number]);
      if (ways[number].up && top.transmit_valid && top.transmit_ready)
        ways[number].send(clock, get(top.transmit_data), top.transmit_first, top.transmit_last);
    }
    for (auto& side : sides) {
      side.top->clk = 1;
      side.top->eval();
    }
  }

  uint64_t undelivered = 0;
  for (auto& side : sides)
    for (auto& queue : side.on_the_way) undelivered += queue.size();
  for (int number = 0; number < 2; ++number) {
    auto& side = sides[number];
    std::printf("sent_%d=%llu\n", number, (unsigned long long)side.sent);
    std::printf("delivered_%d=%llu\n", number, (unsigned long long)side.delivered);
    std::printf("bytes_%d=%llu\n", number, (unsigned long long)(last_bytes[number] - first_bytes[number]));
    std::printf("wrong_bits_%d=%llu\n", number, (unsigned long long)ways[number].wrong_bits);
    std::printf("wrong_flits_%d=%llu\n", number, (unsigned long long)ways[number].wrong_flits);
    std::printf("flits_%d=%llu\n", number, (unsigned long long)ways[number].flits);
    std::printf("stops_%d=%llu\n", number, (unsigned long long)ways[number].stops);
    std::printf("dropped_%d=%llu\n", number, (unsigned long long)(ways[number].dropped + ways[number].doubled));
    std::printf("round_trip_%d=%u\n", number, (unsigned)side.top->round_trip);
    for (int count = 0; count < COUNTS; ++count)
      std::printf("count_%d_%d=%u\n", number, count, (unsigned)side.top->counts[count]);
    if (!side.complaint.empty()) std::printf("complaint_%d=%s\n", number, side.complaint.c_str());
  }
  std::printf("clocks=%llu\nundelivered=%llu\nlost_in_reset=%llu\n", (unsigned long long)clock,
              (unsigned long long)undelivered, (unsigned long long)lost_in_reset);
  return undelivered == 0 && sides[0].complaint.empty() && sides[1].complaint.empty() ? 0 : 1;
}
