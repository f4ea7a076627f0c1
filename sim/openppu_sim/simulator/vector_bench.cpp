// Runs commands on the Verilated vector unit, beside a scratchpad of its own, at the model's own speed.
//
// usage: simulator INPUT OUTPUT
//
// Both files are little-endian 32-bit words; vector.py writes the one, reads the other, and explains each field. A read
// that is taken in one cycle has its result exactly `latency` cycles later. In a cycle, reads see what was written in
// earlier ones.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

// Verilator spells the two underscores of Amaranth's port names in its own way.
#define PORT(stream, signal) top->stream##___05F##signal
#define READS(number, stream, signal) top->inputs___05F##number##___05F##stream##___05F##signal

namespace {

using Words = std::vector<uint32_t>;

template <class Port>
void put(Port& port, const Words& words) {
  std::memcpy(&port, words.data(), sizeof(port) < 4 * words.size() ? sizeof(port) : 4 * words.size());
}

template <class Port>
Words get(const Port& port) {
  Words words((sizeof(port) + 3) / 4);
  std::memcpy(words.data(), &port, sizeof(port));
  return words;
}

// A field of up to 32 bits.
uint64_t bits(const Words& words, size_t offset, size_t width) {
  uint64_t value = words[offset / 32];
  if (offset / 32 + 1 < words.size()) value |= uint64_t{words[offset / 32 + 1]} << 32;
  return value >> offset % 32 & ((uint64_t{1} << width) - 1);
}

struct Reader {
  std::FILE* file;
  uint32_t word() { return words(1)[0]; }
  Words words(size_t count) {
    Words result(count);
    if (std::fread(result.data(), 4, count, file) != count) {
      std::fprintf(stderr, "the input ends early\n");
      std::exit(1);
    }
    return result;
  }
};

struct Random {
  uint64_t state;
  // True about so many times in 65536.
  bool chance(uint32_t of_65536) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33 & 0xffff) < of_65536;
  }
};

// The stream rule: what waits stays as it is.
struct Held {
  const char* name;
  bool waiting = false;
  Words payload;
  bool broken(bool valid, bool ready, const Words& now) {
    const bool bad = waiting && (!valid || now != payload);
    waiting = valid && !ready;
    if (waiting) payload = now;
    return bad;
  }
};

struct Result {
  uint64_t due;
  uint32_t address;
  Words data;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: simulator INPUT OUTPUT\n");
    return 2;
  }
  Reader in{std::fopen(argv[1], "rb")};
  if (!in.file) return 2;
  const uint32_t latency = in.word(), seed = in.word();
  const uint64_t most_cycles = in.word();
  const uint32_t offers = in.word(), accepts = in.word(), serves_reads = in.word(), serves_writes = in.word();
  const uint32_t reset_at = in.word();
  const uint32_t address_bits = in.word(), word_bytes = in.word();
  const uint32_t count = in.word(), command_words = in.word();
  const Words commands = in.words(size_t{count} * command_words);
  const uint32_t wrong_count = in.word();
  const Words wrong_list = in.words(wrong_count);
  const uint32_t bytes = in.word();
  const Words image = in.words(bytes / 4);
  const uint32_t columns = in.word();
  const Words sums = in.words(in.word());
  std::fclose(in.file);
  const std::set<uint32_t> wrong(wrong_list.begin(), wrong_list.end());

  VerilatedContext context;
  auto top = std::make_unique<Vtop>(&context);
  Random random{seed};
  Words memory = image;
  const size_t lanes = word_bytes / 4;
  std::deque<Result> results[2];
  Held held[] = {{"inputs 0"}, {"inputs 1"}, {"output"}, {"finished"}};
  std::string complaint;
  Words ends;        // error, cycle taken, cycle finished
  Words causes(8);  // cycles that went to each
  std::deque<uint32_t> taken;
  uint64_t cycle = 0;
  uint32_t next = 0;
  bool offering = false;
  Words row_read;  // of accumulators

  auto reset = [&] {
    top->rst = 1;
    top->clk = 0;
    top->eval();
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->rst = 0;
    for (auto& queue : results) queue.clear();
    row_read.assign(columns, 0);
    for (Held& each : held) each.waiting = false;
    memory = image;
    ends.clear(), taken.clear();
    causes.assign(8, 0);
    next = 0, cycle = 0, offering = false;
  };
  PORT(commands, valid) = 0;
  reset();
  top->scratchpad_bytes = bytes;

  auto serve = [&](int number, bool valid, bool ready, const Words& request) {
    if (held[number].broken(valid, ready, request) && complaint.empty())
      complaint = std::string(held[number].name) + " changed while it waited, cycle " + std::to_string(cycle);
    if (!valid || !ready) return;
    const bool write = bits(request, 0, 1);
    const auto address = static_cast<uint32_t>(bits(request, 1, address_bits));
    if (uint64_t{address} * word_bytes >= bytes || write != (number == 2)) {
      if (complaint.empty()) complaint = std::string(held[number].name) + " asked for what it must not, cycle " + std::to_string(cycle);
      return;
    }
    if (!write) {
      const auto from = memory.begin() + static_cast<std::ptrdiff_t>(address * lanes);
      results[number].push_back({cycle + latency, address, Words(from, from + static_cast<std::ptrdiff_t>(lanes))});
      return;
    }
    auto* to = reinterpret_cast<uint8_t*>(memory.data()) + size_t{address} * word_bytes;
    for (size_t byte = 0; byte < word_bytes; ++byte)
      if (bits(request, 1 + address_bits + 8 * word_bytes + byte, 1))
        to[byte] = static_cast<uint8_t>(bits(request, 1 + address_bits + 8 * byte, 8));
  };

  uint32_t reset_left = reset_at == UINT32_MAX ? 0 : 1;
  while (cycle < most_cycles && ends.size() < size_t{3} * count) {
    if (reset_left && cycle == reset_at) {
      reset_left = 0;
      PORT(commands, valid) = 0;
      reset();
    }
    offering = next < count && (offering || random.chance(offers));
    PORT(commands, valid) = offering;
    if (offering) {
      const auto from = commands.begin() + static_cast<std::ptrdiff_t>(size_t{next} * command_words);
      put(PORT(commands, payload), Words(from, from + command_words));
    }
    PORT(finished, ready) = random.chance(accepts);
    READS(0, requests, ready) = random.chance(serves_reads);
    READS(1, requests, ready) = random.chance(serves_reads);
    PORT(output___05Frequests, ready) = random.chance(serves_writes);
    for (int number = 0; number < 2; ++number) {
      auto& queue = results[number];
      const bool due = !queue.empty() && queue.front().due == cycle;
      Words payload(lanes + 1);
      if (due) {
        std::memcpy(payload.data(), queue.front().data.data(), word_bytes);
        payload[lanes] = wrong.count(queue.front().address);
        queue.pop_front();
      }
      if (number == 0) {
        READS(0, results, valid) = due;
        put(READS(0, results, payload), payload);
      } else {
        READS(1, results, valid) = due;
        put(READS(1, results, payload), payload);
      }
    }
    put(PORT(accumulators, sums), row_read);
    top->eval();

    ++causes[top->cause];
    if (PORT(accumulators, read)) {
      const auto from = sums.begin() + static_cast<std::ptrdiff_t>(PORT(accumulators, row)) * columns;
      row_read.assign(from, from + columns);
    }
    const Words nothing;
    serve(0, READS(0, requests, valid), READS(0, requests, ready),
          READS(0, requests, valid) ? get(READS(0, requests, payload)) : nothing);
    serve(1, READS(1, requests, valid), READS(1, requests, ready),
          READS(1, requests, valid) ? get(READS(1, requests, payload)) : nothing);
    serve(2, PORT(output___05Frequests, valid), PORT(output___05Frequests, ready),
          PORT(output___05Frequests, valid) ? get(PORT(output___05Frequests, payload)) : nothing);
    if (PORT(commands, valid) && PORT(commands, ready)) {
      taken.push_back(static_cast<uint32_t>(cycle));
      ++next;
      offering = false;
    }
    const Words error{static_cast<uint32_t>(PORT(finished, payload))};
    if (held[3].broken(PORT(finished, valid), PORT(finished, ready), error) && complaint.empty())
      complaint = "finished changed while it waited";
    if (PORT(finished, valid) && PORT(finished, ready)) {
      if (taken.empty()) {
        if (complaint.empty()) complaint = "finished without a command";
        break;
      }
      ends.insert(ends.end(), {error[0], taken.front(), static_cast<uint32_t>(cycle)});
      taken.pop_front();
    }
    top->clk = 1;
    top->eval();
    top->clk = 0;
    ++cycle;
  }

  std::FILE* out = std::fopen(argv[2], "wb");
  if (!out) return 2;
  const Words header{static_cast<uint32_t>(cycle), static_cast<uint32_t>(ends.size() / 3),
                     static_cast<uint32_t>(complaint.size())};
  auto write = [&](const void* from, size_t size) { return std::fwrite(from, 1, size, out) == size; };
  bool whole = write(header.data(), 12) && write(causes.data(), 32) && write(ends.data(), 4 * ends.size()) && write(memory.data(), bytes) &&
               write(complaint.data(), complaint.size());
  whole &= std::fclose(out) == 0;
  return whole ? 0 : 2;
}
