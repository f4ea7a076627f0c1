// A matmul engine before a scratchpad that answers after a fixed time and takes requests when chance wants it.
//
// usage (by model_main.cpp): bench_main PARAMETERS RESULT
//
// native.py writes the one file and reads the other. Memory goes in and comes out as files of bytes.

#include <array>
#include <cstdio>
#include <ctime>
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "bench_io.h"
#include "model.h"

namespace {

using Bytes = std::vector<uint8_t>;

Bytes file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return Bytes(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void write_file(const std::string& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw std::runtime_error("cannot write " + path);
}

// What a stream out of the engine offers must stay until it is taken.
class Watched {
 public:
  Watched(const native::Model& model, const std::string& name)
      : valid(model.port(name + ".valid")), payload(model.port(name + ".payload")),
        ready(model.port(name + ".ready")), name_(name) {}

  // Whether the engine's item is taken in this cycle.
  bool sample(bool is_ready, std::string& complaint) {
    const bool offered = valid.number();
    if (waits_ && !offered) complaint = name_ + ": valid fell before ready";
    if (waits_ && offered && std::memcmp(payload.at, before_.data(), payload.bytes) != 0)
      complaint = name_ + ": the payload changed while it waited";
    waits_ = offered && !is_ready;
    if (waits_) before_.assign(payload.at, payload.at + payload.bytes);
    return offered && is_ready;
  }
  void forget() { waits_ = false; }

  native::Pin valid, payload, ready;

 private:
  std::string name_;
  bool waits_ = false;
  Bytes before_;
};

struct Port {
  Port(const native::Model& model, const std::string& name)
      : requests(model, name + ".requests"), result_valid(model.port(name + ".results.valid")),
        result(model.port(name + ".results.payload")) {}

  struct Answer {
    uint64_t cycle;
    Bytes bytes;
    bool error;
  };
  Watched requests;
  native::Pin result_valid, result;
  std::deque<Answer> answers;
  bool ready = false;
  uint32_t rate = 0;
  uint64_t taken = 0;
};

class Bench {
 public:
  Bench(const native::Factory& factory, const native::Parameters& given)
      : model_(factory()), given_(given), random_(given.number("seed")), clk_(model_.port("clk")),
        rst_(model_.port("rst")), command_valid_(model_.port("commands.valid")),
        command_(model_.port("commands.payload")), command_ready_(model_.port("commands.ready")),
        finished_(model_, "finished"), cause_(model_.port("cause")),
        word_bytes_(given.number("word_bytes")), latency_(given.number("latency")) {
    for (const char* name : {"activations", "weights", "addends", "results"}) {
      ports_.emplace_back(model_, name);
      ports_.back().rate = static_cast<uint32_t>(given.number(std::string("rate.") + name));
    }
    for (const auto& line : given.all("command")) {
      std::istringstream words(line);
      std::vector<uint32_t> command;
      for (uint32_t word; words >> word;) command.push_back(word);
      commands_.push_back(command);
    }
    image_ = file(given.text("memory"));
    bad_ = given.numbers("bad");
    memory_ = image_;
    touched_.assign(memory_.size() / word_bytes_, 0);
  }

  void run() {
    const uint64_t most = given_.number("most");
    const int64_t reset_at = given_.number("reset_at");
    model_.port("scratchpad_bytes").set(memory_.size());
    rst_.set(1);
    tick();
    rst_.set(0);
    tick();
    drive();
    tick();
    for (now_ = 0; now_ < most && finishes_.size() < commands_.size() && complaint_.empty(); ++now_) {
      if (reset_at >= 0 && static_cast<uint64_t>(reset_at) == now_) {
        reset();
        continue;
      }
      sample();
      drive();
      tick();
    }
    // Whatever the engine still does, nothing may come of it.
    for (int after = 0; after < 40; ++after, ++now_) {
      sample();
      drive();
      tick();
    }
    if (complaint_.empty() && finishes_.size() != commands_.size()) complaint_ = "not done in time";
  }

  void write(const std::string& path, double seconds) {
    write_file(given_.text("memory_out"), memory_);
    write_file(given_.text("touched"), touched_);
    std::ofstream out(path);
    for (const auto& [cycle, error] : finishes_) out << "finished " << cycle << " " << int(error) << "\n";
    for (const uint64_t cycle : takes_) out << "taken " << cycle << "\n";
    out << "seconds " << seconds << "\nsimulated " << now_ << "\n";
    for (const auto& port : ports_) out << "accesses " << port.taken << "\n";
    for (const uint64_t count : causes_) out << "cause " << count << "\n";
    if (!complaint_.empty()) out << "complaint " << complaint_ << "\n";
  }

 private:
  void tick() {
    clk_.set(1);
    model_.evaluate();
    clk_.set(0);
    model_.evaluate();
  }

  void sample() {
    if (command_offered_ && command_ready_.number()) {
      takes_.push_back(now_);
      command_offered_ = false;
    }
    if (finished_.sample(finish_ready_, complaint_)) {
      finishes_.emplace_back(now_, finished_.payload.number());
      if (finishes_.size() > takes_.size()) complaint_ = "more commands finished than were taken";
    }
    for (size_t place = 0; place < ports_.size(); ++place) access(ports_[place], place);
    if (!takes_.empty() && finishes_.size() < commands_.size()) ++causes_.at(cause_.number());
  }

  void access(Port& port, size_t place) {
    if (!port.requests.sample(port.ready, complaint_)) return;
    ++port.taken;
    const uint8_t* payload = port.requests.payload.at;
    const uint64_t address = address_.get(payload);
    const bool write = write_.get(payload);
    if (write != (place == 3)) complaint_ = "a write on a port that reads, or the other way round";
    if ((address + 1) * word_bytes_ > memory_.size()) {
      complaint_ = "an access beyond the scratchpad";
      return;
    }
    touched_[address] |= 1 << place;
    uint8_t* word = memory_.data() + address * word_bytes_;
    if (!write) {
      bool error = false;
      for (const uint64_t one : bad_) error |= one == address;
      port.answers.push_back({now_ + latency_, Bytes(word, word + word_bytes_), error});
      return;
    }
    for (size_t byte = 0; byte < word_bytes_; ++byte)
      if (bits(payload, mask_.offset + byte, 1)) word[byte] = bits(payload, data_offset_ + 8 * byte, 8);
  }

  static unsigned bits(const uint8_t* from, size_t offset, size_t width) {
    unsigned value = from[offset / 8];
    if (offset % 8 + width > 8) value |= from[offset / 8 + 1] << 8;
    return value >> offset % 8 & ((1u << width) - 1);
  }

  // The inputs of the next cycle.
  void drive() {
    const size_t next = takes_.size() + command_offered_;
    if (!command_offered_ && next < commands_.size() && random_.chance(rate_commands_)) {
      command_offered_ = true;
      std::memcpy(command_.at, commands_[next].data(), command_.bytes);
    }
    command_valid_.set(command_offered_);
    finish_ready_ = random_.chance(rate_finished_);
    finished_.ready.set(finish_ready_);
    for (auto& port : ports_) {
      port.ready = random_.chance(port.rate);
      port.requests.ready.set(port.ready);
      const bool answers = !port.answers.empty() && port.answers.front().cycle == now_ + 1;
      port.result_valid.set(answers);
      for (size_t byte = 0; byte < port.result.bytes; ++byte) port.result.at[byte] = 0;
      if (answers) {
        const auto& answer = port.answers.front();
        std::memcpy(port.result.at, answer.bytes.data(), word_bytes_);
        port.result.at[word_bytes_] = answer.error;
        port.answers.pop_front();
      }
    }
  }

  // In the middle of everything; then all commands again, on the memory of the beginning.
  void reset() {
    rst_.set(1);
    command_valid_.set(0);
    tick();
    rst_.set(0);
    takes_.clear();
    finishes_.clear();
    causes_ = {};
    command_offered_ = false;
    finished_.forget();
    memory_ = image_;
    for (auto& port : ports_) {
      port.answers.clear();
      port.requests.forget();
    }
    drive();
    tick();
  }

  native::Model model_;
  const native::Parameters& given_;
  native::Random random_;
  native::Pin clk_, rst_, command_valid_, command_, command_ready_;
  Watched finished_;
  native::Pin cause_;
  size_t word_bytes_;
  uint64_t latency_;
  native::Field write_ = given_.field("write"), address_ = given_.field("address"), mask_ = given_.field("mask");
  size_t data_offset_ = given_.numbers("field.data")[0];
  uint32_t rate_commands_ = static_cast<uint32_t>(given_.number("rate.commands"));
  uint32_t rate_finished_ = static_cast<uint32_t>(given_.number("rate.finished"));
  std::deque<Port> ports_;
  std::vector<std::vector<uint32_t>> commands_;
  Bytes image_, memory_, touched_;
  std::vector<uint64_t> bad_;
  bool command_offered_ = false, finish_ready_ = false;
  std::vector<uint64_t> takes_;
  std::vector<std::pair<uint64_t, uint64_t>> finishes_;
  std::array<uint64_t, 16> causes_{};
  std::string complaint_;
  uint64_t now_ = 0;
};

}  // namespace

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS RESULT");
  const native::Parameters parameters(argv[1]);
  Bench bench(factory, parameters);
  const auto start = std::clock();
  bench.run();
  bench.write(argv[2], static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
