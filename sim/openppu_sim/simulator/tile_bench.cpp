// Runs a tile's command sequence on the Verilated model, with its operand buffers and stalls, at the model's own speed.
//
// usage: simulator INPUT OUTPUT
//
// Both files are little-endian 32-bit words; tile.py writes the one, reads the other, and explains each field. The
// environment is that of docs/tile.md and of the cycle model: a request that is taken in cycle q may be answered from
// cycle q + latency; a source whose stall pattern holds it back may not start to offer, but once it offers it goes on.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

// A stream's signal: Verilator spells the two underscores of Amaranth's port names in its own way.
#define PORT(stream, signal) top->stream##___05F##signal

namespace {

using Words = std::vector<uint32_t>;

// A port is a number or, over 64 bits, an array of words.
template <class Port>
void put(Port& port, const uint32_t* words) {
  if constexpr (std::is_integral_v<Port>) {
    uint64_t value = words[0];
    if constexpr (sizeof(Port) > 4) value |= uint64_t{words[1]} << 32;
    port = static_cast<Port>(value);
  } else {
    std::memcpy(port.data(), words, sizeof(port));
  }
}

template <class Port>
void get(const Port& port, uint32_t* words, size_t count) {
  if constexpr (std::is_integral_v<Port>) {
    words[0] = static_cast<uint32_t>(port);
    if (count > 1) words[1] = static_cast<uint32_t>(uint64_t{port} >> 32);
  } else {
    std::memcpy(words, port.data(), count * sizeof(uint32_t));
  }
}

struct Reader {
  std::FILE* file;

  uint32_t word() {
    uint32_t value;
    read(&value, 1);
    return value;
  }
  Words words(size_t count) {
    Words result(count);
    read(result.data(), count);
    return result;
  }
  void read(uint32_t* to, size_t count) {
    if (std::fread(to, sizeof(uint32_t), count, file) != count) {
      std::fprintf(stderr, "the input ends early\n");
      std::exit(1);
    }
  }
};

// When a stream's other side may act: one flag a cycle, free after the last.
struct Pattern {
  Words flags;
  bool operator()(uint64_t cycle) const { return cycle >= flags.size() || flags[cycle] != 0; }
};

// Items that are offered one after the other.
struct Source {
  size_t size_of_item = 0;
  Words items;
  Pattern may_start;
  size_t next = 0;
  bool offering = false;

  size_t count() const { return size_of_item ? items.size() / size_of_item : 0; }
  bool offer(uint64_t cycle, size_t available) {
    offering = next < available && (offering || may_start(cycle));
    return offering;
  }
  const uint32_t* item(size_t index) const { return items.data() + index * size_of_item; }
  void take() {
    ++next;
    offering = false;
  }
};

// An operand buffer: answers requests in order.
struct Buffer {
  Source beats;           // the image; `next` counts answers
  Pattern ready;          // for requests
  std::deque<uint32_t> addresses;
  std::deque<uint64_t> answer_from;
  bool offering = false;

  bool offer(uint64_t cycle) {
    const bool there = !addresses.empty() && answer_from.front() <= cycle;
    offering = there && (offering || beats.may_start(cycle));
    return offering;
  }
  const uint32_t* answer() const { return beats.item(addresses.front() % beats.count()); }
  void request(uint32_t address, uint64_t cycle, uint64_t latency) {
    addresses.push_back(address);
    answer_from.push_back(cycle + latency);
  }
  void take() {
    addresses.pop_front();
    answer_from.pop_front();
    offering = false;
  }
};

// The stream rule: what waits stays as it is.
struct Held {
  const char* name;
  bool waiting = false;
  Words payload;

  bool broken(bool valid, bool ready, const uint32_t* words, size_t count) {
    const bool bad = waiting && (!valid || std::memcmp(payload.data(), words, count * sizeof(uint32_t)) != 0);
    waiting = valid && !ready;
    if (waiting) payload.assign(words, words + count);
    return bad;
  }
};

// The most memory this program ever held, in bytes; 0 where the system does not tell. (getrusage would count the
// program that started this one.)
uint64_t most_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: simulator INPUT OUTPUT\n");
    return 2;
  }
  Reader in{std::fopen(argv[1], "rb")};
  if (!in.file) return 2;

  const uint64_t most_cycles = in.word() | uint64_t{in.word()} << 32;
  const uint32_t latency = in.word();
  const uint32_t results_expected = in.word();
  const uint32_t cycles_after = in.word();
  const uint32_t reset_at = in.word();  // reset in this cycle; the run starts again after it (all ones: never)
  const uint32_t mutant = in.word();
  Source commands, addends;
  Buffer activations, weights;
  for (Source* source : {&commands, &activations.beats, &weights.beats, &addends}) {
    source->size_of_item = in.word();
    const size_t count = in.word();
    source->items = in.words(count * source->size_of_item);
  }
  Pattern results_ready;
  for (Pattern* pattern : {&commands.may_start, &activations.beats.may_start, &weights.beats.may_start,
                           &addends.may_start, &activations.ready, &weights.ready, &results_ready}) {
    pattern->flags = in.words(in.word());
  }
  const size_t result_words = in.word();
  const size_t counter_words = in.word();
  std::fclose(in.file);

  VerilatedContext context;
  auto top = std::make_unique<Vtop>(&context);
#ifdef MUTANTS
  top->mutsel = mutant;
#else
  (void)mutant;
#endif
  auto tick = [&] {
    top->clk = 1;
    top->eval();
    top->clk = 0;
  };

  const Source commands_at_start = commands, addends_at_start = addends;
  const Buffer activations_at_start = activations, weights_at_start = weights;
  Words results, result(result_words);
  std::string causes;
  std::string complaint;
  uint64_t first = 0, last = 0, cycle = 0, quiet = 0;
  bool started = false;
  Held held[] = {{"activation_requests"}, {"weight_requests"}, {"results"}};

  auto reset = [&] {
    PORT(commands, valid) = PORT(activations, valid) = PORT(weights, valid) = PORT(addends, valid) = 0;
    top->rst = 1;
    top->eval();  // the clock was high when the model was evaluated last: without this there is no edge
    tick();
    top->rst = 0;
    cycle = 0;
  };
  reset();

  const std::clock_t began = std::clock();
  bool reset_due = reset_at != UINT32_MAX;
  while (cycle < most_cycles) {
    if (reset_due && cycle == reset_at) {
      reset_due = false;
      commands = commands_at_start, addends = addends_at_start;
      activations = activations_at_start, weights = weights_at_start;
      results.clear(), causes.clear();
      for (Held& stream : held) stream.waiting = false;
      started = false;
      quiet = 0;
      reset();
    }
    PORT(commands, valid) = commands.offer(cycle, commands.count());
    if (commands.offering) put(PORT(commands, payload), commands.item(commands.next));
    PORT(addends, valid) = addends.offer(cycle, addends.count());
    if (addends.offering) put(PORT(addends, payload), addends.item(addends.next));
    PORT(activations, valid) = activations.offer(cycle);
    if (activations.offering) put(PORT(activations, payload), activations.answer());
    PORT(weights, valid) = weights.offer(cycle);
    if (weights.offering) put(PORT(weights, payload), weights.answer());
    PORT(activation_requests, ready) = activations.ready(cycle);
    PORT(weight_requests, ready) = weights.ready(cycle);
    PORT(results, ready) = results_ready(cycle);
    top->eval();

    const uint32_t requests[] = {static_cast<uint32_t>(PORT(activation_requests, payload)),
                                 static_cast<uint32_t>(PORT(weight_requests, payload))};
    if (PORT(results, valid)) get(PORT(results, payload), result.data(), result_words);
    const bool broken[] = {
        held[0].broken(PORT(activation_requests, valid), PORT(activation_requests, ready), &requests[0], 1),
        held[1].broken(PORT(weight_requests, valid), PORT(weight_requests, ready), &requests[1], 1),
        held[2].broken(PORT(results, valid), PORT(results, ready), result.data(), result_words)};
    for (int stream = 0; stream < 3; ++stream) {
      if (broken[stream] && complaint.empty()) {
        complaint = std::string(held[stream].name) + " changed while it waited, cycle " + std::to_string(cycle);
      }
    }

    if (PORT(commands, valid) && PORT(commands, ready)) {
      if (!started) started = true, first = last = cycle;
      commands.take();
    }
    if (started) causes.push_back(static_cast<char>(top->cause));
    if (PORT(addends, valid) && PORT(addends, ready)) addends.take();
    if (PORT(activations, valid) && PORT(activations, ready)) activations.take();
    if (PORT(weights, valid) && PORT(weights, ready)) weights.take();
    if (PORT(activation_requests, valid) && PORT(activation_requests, ready)) {
      activations.request(requests[0], cycle, latency);
    }
    if (PORT(weight_requests, valid) && PORT(weight_requests, ready)) weights.request(requests[1], cycle, latency);
    if (PORT(results, valid) && PORT(results, ready)) {
      results.insert(results.end(), result.begin(), result.end());
      last = cycle;
    }
    const bool done = results.size() >= results_expected * result_words && commands.next == commands.count() &&
                      (top->cause == 8 || results_expected);
    if (!results_expected && !done) last = cycle;
    if (started && done && quiet++ >= cycles_after) break;
    tick();
    ++cycle;
  }
  const std::clock_t took = std::clock() - began;

  tick();  // the counters count a cycle one cycle later
  Words counters(counter_words);
  get(top->counters, counters.data(), counter_words);
  const uint64_t length = started ? last - first + 1 : 0;
  causes.resize(length <= causes.size() ? length : causes.size());
  std::FILE* out = std::fopen(argv[2], "wb");
  if (!out) return std::perror(argv[2]), 2;
  bool whole = true;
  auto write = [&](const void* from, size_t size) { whole &= std::fwrite(from, 1, size, out) == size; };
  const uint64_t header[] = {length,
                             cycle,
                             uint64_t(took) * (1'000'000'000 / CLOCKS_PER_SEC),
                             most_memory(),
                             cycle >= most_cycles,
                             results.size() / result_words,
                             causes.size(),
                             commands.count() - commands.next,
                             addends.count() - addends.next,
                             activations.addresses.size() + weights.addresses.size(),
                             complaint.size()};
  write(header, sizeof(header));
  write(results.data(), results.size() * sizeof(uint32_t));
  write(causes.data(), causes.size());
  write(counters.data(), counters.size() * sizeof(uint32_t));
  write(complaint.data(), complaint.size());
  whole &= std::fclose(out) == 0;
  if (!whole) std::perror(argv[2]);
  return whole ? 0 : 2;
}
