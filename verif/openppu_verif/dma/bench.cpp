// A DMA engine between a memory and a scratchpad: commands in, what was read and written out.
//
// usage: simulator LIBRARY PARAMETERS CASES RESULTS. PARAMETERS has sizes; CASES and RESULTS are binary, as
// openppu_verif.dma.native writes and reads them.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench_io.h"
#include "model.h"

namespace {

using native::Field;
using native::Pin;
using native::Random;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t kWord = 32;

// Any bits of a payload, to the low ones of bytes.
void copy_out(const uint8_t* payload, uint32_t offset, uint32_t bits, uint8_t* bytes) {
  for (uint32_t done = 0; done < bits; done += 32) {
    const uint32_t size = bits - done < 32 ? bits - done : 32;
    const uint64_t value = Field{offset + done, size}.get(payload);
    std::memcpy(bytes + done / 8, &value, (size + 7) / 8);
  }
}

void copy_in(uint8_t* payload, uint32_t offset, uint32_t bits, const uint8_t* bytes) {
  for (uint32_t done = 0; done < bits; done += 32) {
    const uint32_t size = bits - done < 32 ? bits - done : 32;
    uint64_t value = 0;
    std::memcpy(&value, bytes + done / 8, (size + 7) / 8);
    Field{offset + done, size}.set(payload, value);
  }
}

struct Sizes {
  uint32_t channels, tag_bits, pad_word, pad_address_bits, pad_latency;
};

struct Case {
  uint32_t seed, latency, spread, rate, pad_rate, wrong, noise, most, commands, hbm, pad;
};

struct Stream {
  Pin valid, ready, payload;
  Bytes kept;
  bool waits = false;

  Stream() = default;
  Stream(const native::Model& model, const std::string& name, bool has_ready = true)
      : valid(model.port(name + ".valid")), payload(model.port(name + ".payload")) {
    if (has_ready) ready = model.port(name + ".ready");
  }
  bool moves() const { return valid.number() && ready.number(); }
  // Of the design's streams: what waits must stay.
  void check(const char* name) {
    const bool now = valid.number();
    if (waits && (!now || std::memcmp(kept.data(), payload.at, payload.bytes) != 0))
      throw std::runtime_error(std::string(name) + " changed while it waited");
    waits = now && !ready.number();
    if (waits) kept.assign(payload.at, payload.at + payload.bytes);
  }
};

struct Memories {
  Bytes hbm, pad, hbm_read, hbm_written, pad_read, pad_written;
  uint32_t words_read = 0, words_written = 0, pad_words = 0, faults = 0;

  Memories(const Bytes& hbm_bytes, const Bytes& pad_bytes, uint32_t pad_word)
      : hbm(hbm_bytes), pad(pad_bytes), hbm_read(hbm.size() / kWord), hbm_written(hbm.size()),
        pad_read(pad.size() / pad_word), pad_written(pad.size()) {}
};

struct Request {
  uint64_t address, due;
  uint32_t tag, words, done;
};

class Channel {
 public:
  Channel(const native::Model& model, const Sizes& sizes, uint32_t number)
      : sizes_(sizes), name_("memory." + std::to_string(number)), requests_(model, name_ + ".requests"),
        words_(model, name_ + ".words"), responses_(model, name_ + ".responses"),
        acknowledges_(model, name_ + ".acknowledges") {}

  void reset() {
    reads_.clear();
    writes_.clear();
    owed_.clear();
    answering_ = acknowledging_ = false;
    requests_.waits = words_.waits = false;
  }

  // What is at the inputs in the coming cycle.
  void drive(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    requests_.ready.set(random.chance(of.rate));
    words_.ready.set(random.chance(of.rate));
    if (!answering_ && random.chance(of.rate)) answer(cycle, of, random, memory);
    responses_.valid.set(answering_);
    if (!acknowledging_ && random.chance(of.rate)) acknowledge(cycle, of, random, memory);
    acknowledges_.valid.set(acknowledging_);
  }

  void sample(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    requests_.check("memory.requests");
    words_.check("memory.words");
    if (requests_.moves()) take(cycle, of, random, memory);
    if (words_.moves()) write(cycle, of, random, memory);
    if (answering_ && responses_.ready.number()) answering_ = false;
    if (acknowledging_ && acknowledges_.ready.number()) acknowledging_ = false;
  }

 private:
  uint64_t later(uint64_t cycle, const Case& of, Random& random) {
    return cycle + of.latency + (of.spread ? random.below(of.spread + 1) : 0);
  }

  void take(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    const uint8_t* payload = requests_.payload.at;
    const uint64_t address = Field{1, 40}.get(payload);
    const uint32_t words = Field{41, 7}.get(payload) + 1;
    const uint32_t tag = sizes_.tag_bits ? Field{48, sizes_.tag_bits}.get(payload) : 0;
    if (address % kWord) throw std::runtime_error("an address is no multiple of 32");
    if (address + words * kWord > memory.hbm.size()) throw std::runtime_error("a request goes beyond the memory");
    Request request{address, later(cycle, of, random), tag, words, 0};
    if (Field{0, 1}.get(payload)) {
      writes_.push_back(request);
    } else {
      for (uint32_t word = 0; word < words; ++word) memory.hbm_read[address / kWord + word] = 1;
      reads_.push_back(request);
    }
  }

  void write(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    if (writes_.empty()) throw std::runtime_error("a word without a request");
    Request& request = writes_.front();
    uint8_t word[kWord], mask[4];
    copy_out(words_.payload.at, 0, 8 * kWord, word);
    copy_out(words_.payload.at, 8 * kWord, kWord, mask);
    const uint64_t at = request.address + kWord * request.done;
    for (uint32_t byte = 0; byte < kWord; ++byte)
      if (mask[byte / 8] >> byte % 8 & 1) {
        memory.hbm[at + byte] = word[byte];
        memory.hbm_written[at + byte] = 1;
      }
    ++memory.words_written;
    if (++request.done == request.words) {
      request.due = later(cycle, of, random);
      owed_.push_back(request);
      writes_.pop_front();
    }
  }

  // The first of a tag that is due; any tag's, if latencies differ.
  static size_t pick(const std::vector<Request>& list, uint64_t cycle, const Case& of, Random& random) {
    std::vector<size_t> due;
    uint64_t seen = 0;
    for (size_t place = 0; place < list.size(); ++place) {
      if (seen >> list[place].tag & 1) continue;
      seen |= uint64_t{1} << list[place].tag;
      if (list[place].due <= cycle) due.push_back(place);
    }
    if (due.empty()) return list.size();
    return of.spread ? due[random.below(due.size())] : due[0];
  }

  void answer(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    if (!busy_) {
      const size_t place = pick(reads_, cycle, of, random);
      if (place == reads_.size()) return;
      now_ = reads_[place];
      reads_.erase(reads_.begin() + place);
      busy_ = true;
    }
    const bool last = now_.done + 1 == now_.words;
    const bool wrong = random.chance(of.wrong);
    uint8_t* payload = responses_.payload.at;
    copy_in(payload, 0, 8 * kWord, memory.hbm.data() + now_.address + kWord * now_.done);
    uint32_t at = 8 * kWord;
    if (sizes_.tag_bits) Field{at, sizes_.tag_bits}.set(payload, now_.tag);
    at += sizes_.tag_bits;
    Field{at, 3}.set(payload, last | wrong << 1);
    memory.faults += wrong;
    ++memory.words_read;
    ++now_.done;
    answering_ = true;
    if (last) busy_ = false;
  }

  void acknowledge(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    const size_t place = pick(owed_, cycle, of, random);
    if (place == owed_.size()) return;
    const bool wrong = random.chance(of.wrong);
    memory.faults += wrong;
    uint8_t* payload = acknowledges_.payload.at;
    if (sizes_.tag_bits) Field{0, sizes_.tag_bits}.set(payload, owed_[place].tag);
    Field{sizes_.tag_bits, 1}.set(payload, wrong);
    owed_.erase(owed_.begin() + place);
    acknowledging_ = true;
  }

  const Sizes sizes_;
  const std::string name_;
  Stream requests_, words_, responses_, acknowledges_;
  std::vector<Request> reads_, owed_;
  std::deque<Request> writes_;
  Request now_{};
  bool busy_ = false, answering_ = false, acknowledging_ = false;
};

class Pad {
 public:
  Pad(const native::Model& model, const Sizes& sizes)
      : sizes_(sizes), requests_(model, "scratchpad.requests"), results_(model, "scratchpad.results", false) {}

  void reset() {
    results_waiting_.clear();
    requests_.waits = false;
  }

  void drive(uint64_t cycle, const Case& of, Random& random, Memories& memory) {
    requests_.ready.set(random.chance(of.pad_rate));
    const bool here = !results_waiting_.empty() && results_waiting_.front().first == cycle;
    results_.valid.set(here);
    if (!here) return;
    const bool wrong = random.chance(of.wrong);
    memory.faults += wrong;
    copy_in(results_.payload.at, 0, 8 * sizes_.pad_word, results_waiting_.front().second.data());
    Field{8 * sizes_.pad_word, 2}.set(results_.payload.at, wrong);
    results_waiting_.pop_front();
  }

  void sample(uint64_t cycle, Memories& memory) {
    requests_.check("scratchpad.requests");
    if (!requests_.moves()) return;
    const uint8_t* payload = requests_.payload.at;
    const uint32_t width = sizes_.pad_word;
    const uint64_t at = width * Field{1, sizes_.pad_address_bits}.get(payload);
    if (at >= memory.pad.size()) throw std::runtime_error("an access goes beyond the scratchpad");
    ++memory.pad_words;
    if (!(payload[0] & 1)) {
      memory.pad_read[at / width] = 1;
      results_waiting_.emplace_back(cycle + sizes_.pad_latency, Bytes(&memory.pad[at], &memory.pad[at] + width));
      return;
    }
    Bytes word(width), mask(width / 8);
    copy_out(payload, 1 + sizes_.pad_address_bits, 8 * width, word.data());
    copy_out(payload, 1 + sizes_.pad_address_bits + 8 * width, width, mask.data());
    for (uint32_t byte = 0; byte < width; ++byte)
      if (mask[byte / 8] >> byte % 8 & 1) {
        memory.pad[at + byte] = word[byte];
        memory.pad_written[at + byte] = 1;
      }
  }

 private:
  const Sizes sizes_;
  Stream requests_, results_;
  std::deque<std::pair<uint64_t, Bytes>> results_waiting_;
};

struct Result {
  uint32_t ended = 0;
  std::vector<std::pair<uint32_t, uint32_t>> finished;
  std::string complaint;
};

class Bench {
 public:
  Bench(const native::Model& model, const Sizes& sizes)
      : model_(model), sizes_(sizes), clk_(model.port("clk")), rst_(model.port("rst")), pad_(model, sizes),
        commands_(model, "commands"), finished_(model, "finished") {
    for (uint32_t number = 0; number < sizes.channels; ++number) channels_.emplace_back(model, sizes, number);
  }

  Result run(const Case& of, const std::vector<Bytes>& commands, Memories& memory) {
    Random random(of.seed);
    model_.port("hbm_bytes").set(memory.hbm.size());
    model_.port("scratchpad_bytes").set(memory.pad.size());
    if (of.noise) {
      Memories other = memory;
      go(of, commands, other, random, of.noise);
    }
    reset();
    return go(of, commands, memory, random, of.most);
  }

 private:
  void tick() {
    clk_.set(1);
    model_.evaluate();
    clk_.set(0);
    model_.evaluate();
  }

  void reset() {
    rst_.set(1);
    commands_.valid.set(0);
    tick();
    tick();
    rst_.set(0);
    for (Channel& channel : channels_) channel.reset();
    pad_.reset();
    finished_.waits = false;
  }

  Result go(const Case& of, const std::vector<Bytes>& commands, Memories& memory, Random& random, uint64_t most) {
    Result result;
    size_t given = 0;
    bool offered = false;
    for (uint64_t cycle = 0; cycle < most; ++cycle) {
      for (Channel& channel : channels_) channel.drive(cycle, of, random, memory);
      pad_.drive(cycle, of, random, memory);
      if (!offered && given < commands.size() && random.chance(of.rate)) {
        std::memcpy(commands_.payload.at, commands[given].data(), commands[given].size());
        offered = true;
      }
      commands_.valid.set(offered);
      finished_.ready.set(random.chance(of.rate));
      tick();
      finished_.check("finished");
      if (offered && commands_.ready.number()) {
        offered = false;
        ++given;
      }
      for (Channel& channel : channels_) channel.sample(cycle, of, random, memory);
      pad_.sample(cycle, memory);
      if (finished_.moves()) {
        result.finished.emplace_back(finished_.payload.number(), cycle);
        if (result.finished.size() == commands.size()) {
          result.ended = cycle;
          // Nothing may come behind.
          for (int more = 0; more < 40; ++more) {
            finished_.ready.set(1);
            commands_.valid.set(0);
            for (Channel& channel : channels_) channel.drive(cycle, of, random, memory);
            tick();
            ++cycle;
            for (Channel& channel : channels_) channel.sample(cycle, of, random, memory);
            pad_.sample(cycle, memory);
            if (finished_.valid.number()) throw std::runtime_error("more commands finished than were given");
          }
          return result;
        }
      }
    }
    if (most == of.most) result.complaint = "not done";
    return result;
  }

  const native::Model& model_;
  const Sizes sizes_;
  Pin clk_, rst_;
  std::vector<Channel> channels_;
  Pad pad_;
  Stream commands_, finished_;
};

void put_number(std::ofstream& file, uint32_t value) { file.write(reinterpret_cast<const char*>(&value), 4); }
void put_bytes(std::ofstream& file, const Bytes& bytes) {
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

int run(const native::Factory& factory, int argc, char** argv) {
  if (argc != 4) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS CASES RESULTS");
  const native::Parameters parameters(argv[1]);
  const auto number = [&](const char* name) { return static_cast<uint32_t>(parameters.number(name)); };
  const Sizes sizes{number("channels"), number("tag_bits"), number("pad_word"), number("pad_address_bits"),
                    number("pad_latency")};
  const native::Model model = factory();
  Bench bench(model, sizes);
  std::ifstream cases(argv[2], std::ios::binary);
  std::ofstream results(argv[3], std::ios::binary);
  for (Case of; cases.read(reinterpret_cast<char*>(&of), sizeof(of));) {
    Bytes hbm(of.hbm), pad(of.pad);
    std::vector<Bytes> commands(of.commands, Bytes(49));
    cases.read(reinterpret_cast<char*>(hbm.data()), of.hbm);
    cases.read(reinterpret_cast<char*>(pad.data()), of.pad);
    for (Bytes& command : commands) cases.read(reinterpret_cast<char*>(command.data()), 49);
    Memories memory(hbm, pad, sizes.pad_word);
    Result result;
    try {
      result = bench.run(of, commands, memory);
    } catch (const std::runtime_error& error) {
      result.complaint = error.what();
    }
    put_number(results, result.ended);
    put_number(results, memory.faults);
    put_number(results, memory.words_read);
    put_number(results, memory.words_written);
    put_number(results, memory.pad_words);
    put_number(results, static_cast<uint32_t>(result.finished.size()));
    put_number(results, static_cast<uint32_t>(result.complaint.size()));
    for (const auto& [error, cycle] : result.finished) {
      put_number(results, error);
      put_number(results, cycle);
    }
    results.write(result.complaint.data(), static_cast<std::streamsize>(result.complaint.size()));
    for (const Bytes* bytes : {&memory.hbm, &memory.pad, &memory.hbm_read, &memory.hbm_written, &memory.pad_read,
                               &memory.pad_written})
      put_bytes(results, *bytes);
  }
  return 0;
}

}  // namespace

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) {
  try {
    return run(factory, argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
