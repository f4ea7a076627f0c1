// Chips' links with their collective engines, joined port to port by channels, with a memory each. When all ports are up,
// jobs are done one after the other: programs run on all chips at once, from memories of their own.
//
// usage (by model_main.cpp): bench_main PARAMETERS RESULT
//
// PARAMETERS is written by mesh_native.py. Memories are files of bytes, `<RESULT>.<job>.<chip>` afterwards.

#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench_io.h"
#include "channel.h"
#include "model.h"

namespace link {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t RESET = 64;
constexpr uint64_t SETTLE = 1024;  // clocks from training to the start: all credits have come by then

Bytes bytes_of(const std::string& line) {
  std::istringstream words(line);
  Bytes bytes;
  for (unsigned value; words >> value;) bytes.push_back(static_cast<uint8_t>(value));
  return bytes;
}

// An input that is a stream, or an output that is one.
struct Stream {
  Stream(const native::Model& model, const std::string& name)
      : valid(model.port(name + ".valid")), ready(model.port(name + ".ready")), payload(model.port(name + ".payload")) {}
  bool moves() const { return valid.number() && ready.number(); }
  native::Pin valid, ready, payload;
};

struct Read {
  uint64_t due;
  Bytes beat;
};

struct Write {
  uint64_t due, address;
  Bytes beat;
};

// A stream of reads and one of writes.
struct Access {
  Access(const native::Model& model, int number)
      : address(model, "reads." + std::to_string(number) + ".address"),
        beat(model, "reads." + std::to_string(number) + ".beat"),
        write(model, "writes." + std::to_string(number) + ".beat"),
        written(model.port("writes." + std::to_string(number) + ".written")) {}
  Stream address, beat, write;
  native::Pin written;
  std::deque<Read> reads;
  std::deque<Write> writes;
};

struct Port {
  Port(const native::Model& model, int number)
      : send(model.port("serdes." + std::to_string(number) + ".send")),
        send_idle(model.port("serdes." + std::to_string(number) + ".send_idle")),
        receive(model.port("serdes." + std::to_string(number) + ".receive")),
        receive_valid(model.port("serdes." + std::to_string(number) + ".receive_valid")),
        signal(model.port("serdes." + std::to_string(number) + ".signal")),
        status(model.port("ports." + std::to_string(number))) {}
  native::Pin send, send_idle, receive, receive_valid, signal, status;
  int peer = -1, peer_port = 0;
  std::unique_ptr<Channel> channel;  // what this port sends
};

struct Chip {
  explicit Chip(const native::Factory& factory)
      : model(factory()), routes(model.port("routes")),
        finished(model.port("finished")), status(model.port("engine")), program(model, "program") {
    // What a port receives may come in a clock of its own: here it is the chip's.
    for (const auto& [name, pin] : model.ports) {
      const std::string end = name.substr(name.size() < 3 ? 0 : name.size() - 3);
      if (end == "clk") clocks.push_back(pin);
      if (end == "rst") resets.push_back(pin);
    }
  }
  native::Model model;
  native::Pin routes, finished, status;
  std::vector<native::Pin> clocks, resets;
  Stream program;
  std::vector<Port> ports;
  std::vector<Access> accesses;
  std::vector<Bytes> lines, instructions;
  Bytes memory;
  size_t next = 0;
  bool done = false;
  uint64_t released = RESET, begin = 0, last_write = 0, end = 0;
};

// What a job came to.
struct Done {
  struct Of {
    bool done;
    uint64_t last_write, end, stalled, fault;
  };
  uint64_t start = 0, simulated = 0, wrong_bits = 0;
  std::vector<uint64_t> sums;
  std::vector<Of> chips;
};

class Bench {
 public:
  Bench(const native::Factory& factory, const native::Parameters& parameters)
      : parameters_(parameters), state_(parameters.field("state")), stalled_(parameters.field("stalled")),
        fault_(parameters.field("fault")), read_(parameters.field("read.address")),
        address_(parameters.field("write.address")),
        data_(parameters.field("write.data")), count_(parameters.field("write.count")),
        beat_(static_cast<uint64_t>(parameters.number("beat_bytes"))),
        read_latency_(static_cast<uint64_t>(parameters.number("read_latency"))),
        write_latency_(static_cast<uint64_t>(parameters.number("write_latency"))),
        up_(static_cast<uint64_t>(parameters.number("up"))),
        memory_stall_(static_cast<uint32_t>(parameters.number("memory_stall"))),
        random_(static_cast<uint64_t>(parameters.number("seed"))) {
    const auto lane_bits = static_cast<int>(parameters.number("lane_bits"));
    const auto lanes = static_cast<int>(parameters.number("lanes"));
    const auto delay = static_cast<int>(parameters.number("delay"));
    const auto seed = static_cast<uint64_t>(parameters.number("seed"));
    const int count = static_cast<int>(parameters.number("chips"));
    valid_ = (uint64_t{1} << lanes) - 1;
    for (int number = 0; number < count; ++number) {
      chips_.push_back(std::make_unique<Chip>(factory));
      Chip& chip = *chips_.back();
      if (const auto skew = static_cast<uint64_t>(parameters.number("reset_skew"))) chip.released += random_.below(skew);
      for (int port = 0; port < parameters.number("ports"); ++port) {
        chip.ports.emplace_back(chip.model, port);
        std::vector<LaneSettings> settings;
        for (int lane = 0; lane < lanes; ++lane) settings.push_back({delay, lane, false});
        const uint64_t own = seed * 1000 + static_cast<uint64_t>(number) * 16 + static_cast<uint64_t>(port);
        chip.ports.back().channel = std::make_unique<Channel>(lane_bits, settings, own);
        Faults faults;
        faults.bit_errors = std::stod(parameters.text("bit_errors"));
        chip.ports.back().channel->set(faults);
      }
      for (int stream = 0; stream < parameters.number("streams"); ++stream)
        chip.accesses.emplace_back(chip.model, stream);
      const std::string own = "." + std::to_string(number);
      for (const std::string& line : parameters.all("route" + own)) chip.lines.push_back(bytes_of(line));
      for (const std::string& line : parameters.all("pin" + own)) {  // name, bytes
        const size_t place = line.find(' ');
        put(chip.model.port(line.substr(0, place)), bytes_of(line.substr(place)));
      }
    }
    for (const std::string& line : parameters.all("link")) {  // chip, port, peer, its port
      std::istringstream words(line);
      size_t chip, port;
      int peer, peer_port;
      words >> chip >> port >> peer >> peer_port;
      chips_.at(chip)->ports.at(port).peer = peer;
      chips_.at(chip)->ports.at(port).peer_port = peer_port;
    }
  }

  // Trains all ports, and does all jobs, or those up to the first that fails.
  void run(const std::string& path) {
    const auto limit = static_cast<uint64_t>(parameters_.number("limit"));
    while (!all_up() && now_ < limit) clock();
    for (uint64_t settle = 0; settle < SETTLE; ++settle) clock();
    trained_ = all_up();
    for (int64_t job = 0; job < parameters_.number("jobs") && trained_; ++job) {
      const std::string name = std::to_string(job);
      load(name);
      for (int64_t pause = parameters_.number("pause." + name); pause > 0; --pause) clock();
      start_ = now_;
      running_ = true;
      while (!ended() && now_ < start_ + limit) clock();
      running_ = false;
      keep(path + "." + name);
      for (const auto& chip : chips_)
        if (!chip->done) return;
    }
  }

  void write(const std::string& path) const {
    std::ofstream file(path);
    file << "{\"trained\": " << trained_ << ", \"jobs\": [";
    const char* comma = "";
    for (const Done& job : done_) {
      file << comma << "{\"start\": " << job.start << ", \"simulated\": " << job.simulated
           << ", \"wrong_bits\": " << job.wrong_bits << ", \"sums\": {";
      comma = "";
      size_t number = 0;
      for (const std::string& line : parameters_.all("sum")) {
        file << comma << "\"" << line << "\": " << job.sums[number++];
        comma = ", ";
      }
      file << "}, \"chips\": [";
      comma = "";
      for (const Done::Of& chip : job.chips) {
        file << comma << "{\"done\": " << chip.done << ", \"last_write\": " << chip.last_write
             << ", \"end\": " << chip.end << ", \"stalled\": " << chip.stalled << ", \"fault\": " << chip.fault << "}";
        comma = ", ";
      }
      file << "]}";
    }
    file << "]}\n";
    if (!file) throw std::runtime_error("cannot write " + path);
  }

 private:
  static void put(const native::Pin& pin, const Bytes& bytes) {
    for (size_t at = 0; at < pin.bytes; ++at) pin.at[at] = at < bytes.size() ? bytes[at] : 0;
  }

  // Programs and memories of a job.
  void load(const std::string& job) {
    for (size_t number = 0; number < chips_.size(); ++number) {
      Chip& chip = *chips_[number];
      const std::string own = "." + job + "." + std::to_string(number);
      chip.instructions.clear();
      for (const std::string& line : parameters_.all("instruction" + own)) chip.instructions.push_back(bytes_of(line));
      std::ifstream file(parameters_.text("memory" + own), std::ios::binary);
      if (!file) throw std::runtime_error("cannot read a memory");
      chip.memory = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      chip.begin = static_cast<uint64_t>(parameters_.number("begin" + own));
      chip.next = 0;
      chip.done = false;
    }
  }

  // What the job came to; counts are those since the start.
  void keep(const std::string& path) {
    Done job;
    job.start = start_;
    job.simulated = now_;
    for (const auto& chip : chips_)
      for (const Port& port : chip->ports) job.wrong_bits += port.channel->wrong_bits();
    for (const std::string& line : parameters_.all("sum")) {
      const native::Field field = parameters_.field(line);
      job.sums.push_back(0);
      for (const auto& chip : chips_)
        for (const Port& port : chip->ports)
          if (port.peer >= 0) job.sums.back() += field.get(port.status.at);
    }
    for (size_t number = 0; number < chips_.size(); ++number) {
      const Chip& chip = *chips_[number];
      const uint8_t* status = chip.status.at;
      job.chips.push_back({chip.done, chip.last_write, chip.end, stalled_.get(status), fault_.get(status)});
      std::ofstream memory(path + "." + std::to_string(number), std::ios::binary);
      const auto* bytes = reinterpret_cast<const char*>(chip.memory.data());
      memory.write(bytes, static_cast<std::streamsize>(chip.memory.size()));
      if (!memory) throw std::runtime_error("cannot write " + path);
    }
    done_.push_back(job);
  }

  void clock() {
    for (const auto& chip : chips_) drive(*chip);
    for (const auto& chip : chips_) {
      for (const uint64_t level : {1, 0}) {
        for (const native::Pin& clk : chip->clocks) clk.set(level);
        chip->model.evaluate();
      }
    }
    for (const auto& chip : chips_) take(*chip);
    ++now_;
  }

  void drive(Chip& chip) {
    const bool reset = now_ < chip.released;
    for (const native::Pin& rst : chip.resets) rst.set(reset);
    const uint64_t line = now_ - chip.released;
    put(chip.routes, !reset && line < chip.lines.size() ? chip.lines[line] : Bytes());
    const bool more = running_ && now_ >= start_ + chip.begin && chip.next < chip.instructions.size();
    chip.program.valid.set(more);
    if (more) put(chip.program.payload, chip.instructions[chip.next]);
    for (Port& port : chip.ports) {
      if (port.peer < 0) continue;
      const Channel& from = *chips_[port.peer]->ports[port.peer_port].channel;
      std::memcpy(port.receive.at, from.received(), beat_);
      port.receive_valid.set(valid_);
      port.signal.set(from.signal());
    }
    for (Access& access : chip.accesses) {
      const bool comes = !access.reads.empty() && access.reads.front().due <= now_;
      access.beat.valid.set(comes);
      if (comes) std::memcpy(access.beat.payload.at, access.reads.front().beat.data(), beat_);
      const bool written = !access.writes.empty() && access.writes.front().due <= now_;
      access.written.set(written);
      access.address.ready.set(!random_.chance(memory_stall_));
      access.write.ready.set(!random_.chance(memory_stall_));
      if (comes) access.reads.pop_front();  // always taken at once
      if (!written) continue;
      // A read that is asked for after this clock sees it.
      const Write& write = access.writes.front();
      std::memcpy(&chip.memory[write.address], write.beat.data(), write.beat.size());
      chip.last_write = now_;
      access.writes.pop_front();
    }
  }

  void take(Chip& chip) {
    if (now_ >= chip.released) {
      if (chip.program.moves()) ++chip.next;
      if (chip.finished.number()) {
        chip.done = true;
        chip.end = now_;
      }
      for (Access& access : chip.accesses) {
        if (access.beat.valid.number() && !access.beat.ready.number())
          throw std::runtime_error("a beat of memory is not taken at once");
        if (access.address.moves()) {
          const uint64_t address = read_.get(access.address.payload.at);
          check(chip, address, beat_, "read");
          const auto* at = &chip.memory[address];
          access.reads.push_back({now_ + read_latency_, Bytes(at, at + beat_)});
        }
        if (access.write.moves()) {
          const uint8_t* payload = access.write.payload.at;
          const uint64_t address = address_.get(payload), count = count_.get(payload) + 1;
          check(chip, address, count, "write");
          const uint8_t* data = payload + data_.offset / 8;
          access.writes.push_back({now_ + write_latency_, address, Bytes(data, data + count)});
        }
      }
    }
    for (Port& port : chip.ports) port.channel->step(port.send.at, port.send_idle.number());
  }

  void check(const Chip& chip, uint64_t address, uint64_t bytes, const char* what) const {
    if (address % beat_ == 0 && address + bytes <= chip.memory.size()) return;
    throw std::runtime_error("clock " + std::to_string(now_) + ": a " + what + " at " + std::to_string(address));
  }

  bool all_up() const {
    for (const auto& chip : chips_)
      for (const Port& port : chip->ports)
        if (port.peer >= 0 && state_.get(port.status.at) != up_) return false;
    return now_ > 2 * RESET;
  }

  bool ended() const {
    bool all = true;
    for (const auto& chip : chips_) {
      if (stalled_.get(chip->status.at) || fault_.get(chip->status.at)) return true;
      all = all && chip->done && chip->next == chip->instructions.size();
    }
    return all;
  }

  const native::Parameters& parameters_;
  native::Field state_, stalled_, fault_, read_, address_, data_, count_;
  uint64_t beat_, read_latency_, write_latency_, up_, valid_ = 0;
  uint32_t memory_stall_;
  native::Random random_;
  std::vector<std::unique_ptr<Chip>> chips_;
  std::vector<Done> done_;
  uint64_t now_ = 0, start_ = 0;
  bool running_ = false, trained_ = false;
};

}  // namespace

}  // namespace link

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS RESULT");
  const native::Parameters parameters(argv[1]);
  link::Bench bench(factory, parameters);
  bench.run(argv[2]);
  bench.write(argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
