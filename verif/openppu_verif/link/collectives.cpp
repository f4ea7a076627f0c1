// Runs programs on the Verilated collective engines of several chips, with a memory each. The engines are joined by pipes
// of packet words; or, with FABRIC, they stand in their chips' links, whose lanes are joined.
//
// usage: simulator INPUT OUTPUT
//
// Both files are little-endian 32-bit words; collectives.py writes the one, reads the other, and explains each field.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

#define CAT(a, b) a##b
#define JOIN(stream, number, signal) CAT(stream##___05F, number##___05F##signal)

#define PORTS_1(X) X(0)
#define PORTS_2(X) PORTS_1(X) X(1)
#define PORTS_3(X) PORTS_2(X) X(2)
#define PORTS_4(X) PORTS_3(X) X(3)
#define PORTS_5(X) PORTS_4(X) X(4)
#define PORTS_6(X) PORTS_5(X) X(5)
#define PORTS_7(X) PORTS_6(X) X(6)
#define PORTS_8(X) PORTS_7(X) X(7)
#define PORTS_9(X) PORTS_8(X) X(8)
#define PORTS_10(X) PORTS_9(X) X(9)
#define EACH_(count) PORTS_##count
#define EACH(count) EACH_(count)
#define EACH_PORT EACH(PORTS)
#define EACH_STREAM EACH(STREAMS)

namespace {

using Words = std::vector<uint32_t>;

constexpr size_t WORD = (PACKET_BITS + 31) / 32;
constexpr size_t BEAT = BEAT_BYTES / 4;
constexpr int COUNT_BITS = __builtin_ctz(BEAT_BYTES);
constexpr int ADDRESS_BITS = 40;

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
void get(const Port& port, uint32_t* words) {
  if constexpr (std::is_integral_v<Port>) {
    words[0] = static_cast<uint32_t>(port);
    if constexpr (sizeof(Port) > 4) words[1] = static_cast<uint32_t>(uint64_t{port} >> 32);
  } else {
    std::memcpy(words, port.data(), sizeof(port));
  }
}

uint64_t field(const uint32_t* words, int low, int bits) {
  uint64_t value = 0;
  for (int bit = 0; bit < bits; ++bit) value |= uint64_t{words[(low + bit) / 32] >> (low + bit) % 32 & 1} << bit;
  return value;
}

struct Word {
  uint32_t bits[WORD];
  uint64_t due;
};

// One way of a link: words come out `delay` clocks after they went in, at most at the rate that flits leave for them.
struct Pipe {
  std::deque<Word> words;
  int64_t budget = 0;
  bool open = false;   // the sender's ready in this clock
  bool offer = false;  // the receiver's valid
};

struct Read {
  uint64_t due;
  uint32_t beat[BEAT];
};

struct Write {
  uint64_t due, address;
  uint32_t bytes;
  uint32_t beat[BEAT];
};

struct Settings {
  uint32_t ranks, limit, delay, rate, pipe, read_latency, write_latency, seed, stall, memory_stall, patience, start_skew;
  uint32_t warm;  // instructions that are a program of their own, before the time is taken
};

constexpr uint64_t PAUSE = 200;  // between the two

#if FABRIC
constexpr uint32_t ALL = (1u << LANES) - 1;
constexpr size_t LANES_WORDS = (8 * BEAT_BYTES + 31) / 32 + 1;

// What the lanes of a port carry, until it arrives.
struct Wire {
  std::deque<std::vector<uint32_t>> words;
};
#endif

struct Chip {
  std::unique_ptr<VerilatedContext> context;
  std::unique_ptr<Vtop> top;
  std::vector<Words> program;
  size_t next = 0;
  std::vector<uint8_t> memory;
  std::deque<Read> reads[STREAMS];
  std::deque<Write> writes[STREAMS];
  bool read_open[STREAMS] = {}, write_open[STREAMS] = {};
  bool read_due[STREAMS] = {}, written[STREAMS] = {};
  uint32_t finished = 0, ends = 0;  // programs that are done, and all
  uint64_t end = 0, begin = 0;
  int peer[PORTS], peer_port[PORTS];
  Pipe from[PORTS];  // what comes to this chip
#if FABRIC
  std::vector<uint32_t> routes;
  uint32_t engines[PORTS];
  Wire wires[PORTS];  // the same, as lanes
#endif
};

Settings settings;
std::vector<Chip> chips;
std::mt19937 chance;
uint64_t now = 0, start = 0;
bool warm = false;

bool happens(uint32_t share) { return share != 0 && (chance() & 0xFFFF) < share; }

void drive(Chip& chip) {
  Vtop* top = chip.top.get();
  const bool held = warm && chip.next >= settings.warm;
  const bool running = now >= chip.begin && chip.next < chip.program.size() && !held;
  top->program___05Fvalid = running;
  if (running) put(top->program___05Fpayload, chip.program[chip.next].data());
#if FABRIC
  top->routes = now < chip.routes.size() ? chip.routes[now] : 0;
#define DRIVE_PORT(p)                                                       \
  if (chip.peer[p] >= 0) {                                                  \
    Wire& in = chip.wires[p];                                               \
    const bool there = in.words.size() > settings.delay;                    \
    if (there) put(top->JOIN(serdes, p, receive), in.words.front().data()); \
    top->JOIN(serdes, p, signal) = there ? ~in.words.front().back() & ALL : 0; \
    top->JOIN(serdes, p, receive_valid) = ALL;                              \
    if (there) in.words.pop_front();                                        \
  }
#else
#define DRIVE_PORT(p)                                                                                         \
  {                                                                                                           \
    Pipe& in = chip.from[p];                                                                                  \
    if (!in.offer) in.offer = !in.words.empty() && in.words.front().due <= now && !happens(settings.stall);   \
    top->JOIN(receive, p, valid) = in.offer;                                                                  \
    if (in.offer) put(top->JOIN(receive, p, payload), in.words.front().bits);                                 \
    bool open = false;                                                                                        \
    if (chip.peer[p] >= 0) {                                                                                  \
      Pipe& out = chips[chip.peer[p]].from[chip.peer_port[p]];                                                \
      if (settings.rate != 0 && out.budget < int64_t{settings.rate}) out.budget += settings.rate;             \
      open = out.words.size() < settings.pipe && (settings.rate == 0 || out.budget > 0);                      \
      open = open && !happens(settings.stall);                                                                \
      out.open = open;                                                                                        \
    }                                                                                                         \
    top->JOIN(send, p, ready) = open;                                                                         \
  }
#endif
  EACH_PORT(DRIVE_PORT)
#define DRIVE_STREAM(s)                                                                       \
  {                                                                                           \
    top->JOIN(reads, s, address___05Fready) = chip.read_open[s] = !happens(settings.memory_stall);   \
    chip.read_due[s] = !chip.reads[s].empty() && chip.reads[s].front().due <= now;            \
    top->JOIN(reads, s, beat___05Fvalid) = chip.read_due[s];                                  \
    if (chip.read_due[s]) put(top->JOIN(reads, s, beat___05Fpayload), chip.reads[s].front().beat);   \
    top->JOIN(writes, s, beat___05Fready) = chip.write_open[s] = !happens(settings.memory_stall);    \
    chip.written[s] = !chip.writes[s].empty() && chip.writes[s].front().due <= now;           \
    top->JOIN(writes, s, written) = chip.written[s];                                          \
  }
  EACH_STREAM(DRIVE_STREAM)
}

void take(Chip& chip) {
  Vtop* top = chip.top.get();
  if (top->program___05Fvalid && top->program___05Fready) ++chip.next;
  if (top->finished) {
    ++chip.finished;
    chip.end = now;
  }
#if FABRIC
#define TAKE_PORT(p)                                                        \
  if (chip.peer[p] >= 0) {                                                  \
    std::vector<uint32_t> words(LANES_WORDS);                               \
    get(top->JOIN(serdes, p, send), words.data());                          \
    words.back() = top->JOIN(serdes, p, send_idle);                         \
    chips[chip.peer[p]].wires[chip.peer_port[p]].words.push_back(words);    \
  }
#else
#define TAKE_PORT(p)                                                                          \
  {                                                                                           \
    Pipe& in = chip.from[p];                                                                  \
    if (in.offer && top->JOIN(receive, p, ready)) {                                           \
      in.words.pop_front();                                                                   \
      in.offer = false;                                                                       \
    }                                                                                         \
    if (top->JOIN(send, p, valid) && top->JOIN(send, p, ready)) {                             \
      Word word;                                                                              \
      get(top->JOIN(send, p, payload), word.bits);                                            \
      word.due = now + settings.delay;                                                        \
      const int count = 80 + 8 * BEAT_BYTES;                                                  \
      const bool first = field(word.bits, count + COUNT_BITS + 2, 1);                         \
      int64_t bytes = int64_t(field(word.bits, count, COUNT_BITS)) + 1 + (first ? 10 : 0);    \
      Pipe& out = chips[chip.peer[p]].from[chip.peer_port[p]];                                \
      out.budget -= 256 * (bytes + (bytes & 1));                                              \
      out.words.push_back(word);                                                              \
    }                                                                                         \
  }
#endif
  EACH_PORT(TAKE_PORT)
#define TAKE_READ(s)                                                                          \
  {                                                                                           \
    if (chip.read_due[s]) chip.reads[s].pop_front();                                          \
    if (top->JOIN(reads, s, address___05Fvalid) && chip.read_open[s]) {                       \
      const uint64_t given = top->JOIN(reads, s, address___05Fpayload);                       \
      const uint64_t address = given & ((uint64_t{1} << ADDRESS_BITS) - 1);                   \
      Read read;                                                                              \
      read.due = now + settings.read_latency;                                                 \
      if (address % BEAT_BYTES || address + BEAT_BYTES > chip.memory.size()) {                \
        std::fprintf(stderr, "clock %llu: a read of address %llu\n", (unsigned long long)now, \
                     (unsigned long long)address);                                            \
        std::exit(3);                                                                         \
      }                                                                                       \
      std::memcpy(read.beat, &chip.memory[address], BEAT_BYTES);                              \
      chip.reads[s].push_back(read);                                                          \
    }                                                                                         \
  }
  EACH_STREAM(TAKE_READ)
#define TAKE_WRITE(s)                                                                         \
  {                                                                                           \
    if (chip.written[s]) {                                                                    \
      const Write& write = chip.writes[s].front();                                            \
      std::memcpy(&chip.memory[write.address], write.beat, write.bytes);                      \
      chip.writes[s].pop_front();                                                             \
    }                                                                                         \
    if (top->JOIN(writes, s, beat___05Fvalid) && chip.write_open[s]) {                        \
      uint32_t words[(ADDRESS_BITS + 8 * BEAT_BYTES + COUNT_BITS + 63) / 32 + 2] = {};        \
      get(top->JOIN(writes, s, beat___05Fpayload), words);                                    \
      Write write;                                                                            \
      write.due = now + settings.write_latency;                                               \
      write.address = field(words, 0, ADDRESS_BITS);                                          \
      write.bytes = uint32_t(field(words, ADDRESS_BITS + 8 * BEAT_BYTES, COUNT_BITS)) + 1;    \
      for (size_t word = 0; word < BEAT; ++word)                                              \
        write.beat[word] = uint32_t(field(words, ADDRESS_BITS + 32 * int(word), 32));         \
      if (write.address % BEAT_BYTES || write.address + write.bytes > chip.memory.size()) {   \
        std::fprintf(stderr, "clock %llu: a write to address %llu\n", (unsigned long long)now,\
                     (unsigned long long)write.address);                                      \
        std::exit(3);                                                                         \
      }                                                                                       \
      chip.writes[s].push_back(write);                                                        \
    }                                                                                         \
  }
  EACH_STREAM(TAKE_WRITE)
}

bool all_done() {
  for (const Chip& chip : chips)
    if (chip.finished < chip.ends) return false;
  return true;
}

// Whether the first programs are done everywhere.
bool all_warm() {
  for (const Chip& chip : chips)
    if (chip.finished == 0 || chip.end + PAUSE > now) return false;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::FILE* input = std::fopen(argv[1], "rb");
  if (!input) return 2;
  auto word = [&]() {
    uint32_t value = 0;
    if (std::fread(&value, 4, 1, input) != 1) std::exit(2);
    return value;
  };
  uint32_t* all = &settings.ranks;
  for (size_t place = 0; place < sizeof(settings) / 4; ++place) all[place] = word();
  chance.seed(settings.seed);
  chips.resize(settings.ranks);
  for (Chip& chip : chips) {
    for (int port = 0; port < PORTS; ++port) {
      chip.peer[port] = int(word()) - 1;
      chip.peer_port[port] = int(word());
    }
    chip.program.resize(word());
    for (Words& instruction : chip.program) {
      instruction.resize(6);
      for (uint32_t& part : instruction) part = word();
      chip.ends += (instruction[0] & 7) == 1;
    }
#if FABRIC
    for (uint32_t& engine : chip.engines) engine = word();
    chip.routes.resize(word());
    for (uint32_t& route : chip.routes) route = word();
#endif
    chip.memory.resize(size_t{word()} * 4);
    if (std::fread(chip.memory.data(), 1, chip.memory.size(), input) != chip.memory.size()) return 2;
  }
#if FABRIC
  Words training(word());
  for (uint32_t& part : training) part = word();
#endif
  for (uint32_t rank = 0; rank < settings.ranks; ++rank) {
    Chip& chip = chips[rank];
    chip.context = std::make_unique<VerilatedContext>();
    chip.top = std::make_unique<Vtop>(chip.context.get());
    chip.begin = settings.start_skew ? chance() % settings.start_skew : 0;
    chip.top->chip = rank;
    chip.top->patience = settings.patience;
#define PEER(p) chip.top->peers___05F##p = chip.peer[p] < 0 ? 63 : chip.peer[p];
    EACH_PORT(PEER)
#if FABRIC
#define ENGINE(p)                                         \
  chip.top->engines___05F##p = chip.engines[p] & 0x7F;    \
  chip.top->peers___05F##p = chip.engines[p] >> 16 & 0x3F;
    EACH_PORT(ENGINE)
    put(chip.top->settings, training.data());
#endif
    for (int clock = 0; clock < 2; ++clock) {
      chip.top->rst = 1;
      chip.top->clk = 0;
      chip.top->eval();
      chip.top->clk = 1;
      chip.top->eval();
    }
    chip.top->rst = 0;
  }
  bool bad = false;
  warm = settings.warm != 0;
  for (now = 0; now < settings.limit && !all_done() && !bad; ++now) {
    if (warm && all_warm()) {
      warm = false;
      start = now;
    }
    for (Chip& chip : chips) {
      drive(chip);
      chip.top->clk = 0;
      chip.top->eval();
    }
    for (Chip& chip : chips) take(chip);
    for (Chip& chip : chips) {
      chip.top->clk = 1;
      chip.top->eval();
      uint32_t status[(STATUS_BITS + 63) / 32] = {};
      get(chip.top->STATUS, status);
      bad = bad || field(status, STALLED_BIT, 1) || field(status, FAULT_BIT, 4);
    }
  }
  std::FILE* output = std::fopen(argv[2], "wb");
  if (!output) return 2;
  auto give = [&](uint32_t value) { std::fwrite(&value, 4, 1, output); };
  give(uint32_t(now - start));
  for (Chip& chip : chips) {
    give(chip.finished == chip.ends);
    give(uint32_t(chip.end));
    give(uint32_t(chip.begin));
    give(uint32_t(chip.next));
    uint32_t status[(STATUS_BITS + 63) / 32] = {};
    get(chip.top->STATUS, status);
    for (uint32_t part = 0; part < (STATUS_BITS + 31) / 32; ++part) give(status[part]);
    std::fwrite(chip.memory.data(), 1, chip.memory.size(), output);
  }
  std::fclose(output);
  return 0;
}
