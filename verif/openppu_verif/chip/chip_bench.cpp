// Verilated chips, each with memory devices at its channels, joined port to port by lanes: run by a program that talks
// to them over a pipe, without that program's hand in any clock.
//
// usage (by model_main.cpp): bench_main PARAMETERS
//
// PARAMETERS is written by native.py, which also explains the requests. A request is a letter and its numbers; an answer
// begins with a byte: 0, or 1 and a text (its length in four bytes), after which nothing more is answered.

#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../hbm/checker.h"
#include "../hbm/device.h"
#include "../hbm/faults.h"
#include "../hbm/phy_bus.h"
#include "../link/channel.h"
#include "causes.h"
#include "host.h"
#include "model.h"

namespace chip {

namespace {

constexpr uint64_t RESET = 4;

template <class Item>
std::vector<Item> items(const Bytes& bytes) {
  std::vector<Item> found(bytes.size() / sizeof(Item));
  if (!found.empty()) std::memcpy(found.data(), bytes.data(), found.size() * sizeof(Item));
  return found;
}

// Adds a port's bytes to a digest.
void add(uint64_t& sum, const native::Pin& pin) {
  for (size_t at = 0; at < pin.bytes; at += 8) {
    uint64_t value = 0;
    std::memcpy(&value, pin.at + at, pin.bytes - at < 8 ? pin.bytes - at : 8);
    sum = (sum ^ value) * 0x9e3779b97f4a7c15;
    sum ^= sum >> 32;
  }
}

// A channel of memory.
class Memory {
 public:
  Memory(const native::Model& model, const std::string& name, const native::Parameters& given, bool checks)
      : bus_(given), device_(hbm::organisation_of(given)), checker_(hbm::Table(hbm::joined(given.all("table")))),
        checks_(checks), row_(model.port(name + "row")), column_(model.port(name + "column")),
        write_(model.port(name + "write")), write_mask_(model.port(name + "write_mask")),
        write_valid_(model.port(name + "write_valid")), read_(model.port(name + "read")),
        read_valid_(model.port(name + "read_valid")), cke_(model.port(name + "cke")),
        reset_n_(model.port(name + "reset_n")), init_start_(model.port(name + "init_start")),
        temperature_(model.port(name + "temperature")), catastrophic_(model.port(name + "catastrophic")),
        address_error_(model.port(name + "address_error")), init_complete_(model.port(name + "init_complete")),
        update_request_(model.port(name + "update_request")) {}

  void drive() {
    const hbm::Sense& sense = device_.sense();
    const bool in_reset = !reset_n_.number();
    read_valid_.set(in_reset ? 0 : static_cast<uint64_t>(sense.read_valid[0] | sense.read_valid[1] << 1));
    for (int pc = 0; pc < hbm::PCS; ++pc)
      if (sense.read_valid[pc]) std::memcpy(read_.at + pc * sizeof(hbm::Word), &sense.read[pc], sizeof(hbm::Word));
    temperature_.set(static_cast<uint64_t>(sense.temperature));
    catastrophic_.set(static_cast<uint64_t>(sense.catastrophic));
    address_error_.set(static_cast<uint64_t>(sense.address_error));
    init_complete_.set(static_cast<uint64_t>(sense.init_complete));
    update_request_.set(static_cast<uint64_t>(sense.update_request));
  }

  // Adds to a digest what the pins to the devices say; of words only those that are written.
  void digest(uint64_t& sum) const {
    add(sum, row_);
    add(sum, column_);
    add(sum, write_valid_);
    if (!write_valid_.number()) return;
    add(sum, write_);
    add(sum, write_mask_);
  }

  void take() {
    hbm::Drive drive;
    drive.reset_n = static_cast<int32_t>(reset_n_.number());
    drive.cke = static_cast<int32_t>(cke_.number());
    drive.init_start = static_cast<int32_t>(init_start_.number());
    bus_.decode(row_.at, column_.at, drive);
    const uint64_t valid = write_valid_.number();
    for (int pc = 0; pc < hbm::PCS; ++pc) {
      drive.write_valid[pc] = valid >> pc & 1;
      if (!drive.write_valid[pc]) continue;
      std::memcpy(&drive.write[pc], write_.at + pc * sizeof(hbm::Word), sizeof(hbm::Word));
      drive.write_mask[pc] = static_cast<uint32_t>(write_mask_.number() >> 32 * pc);
    }
    if (checks_) checker_.pins(drive.reset_n, drive.cke, device_.sense().temperature);
    const int lost = device_.clock(drive);
    if (!checks_) return;
    for (int slot = 0; slot < 2; ++slot) {
      const hbm::ColumnSlot& column = drive.column[slot];
      const hbm::RowSlot& row = drive.row[slot];
      if (!(lost >> slot & 4)) {
        checker_.command(static_cast<hbm::Command>(column.command), slot, column.bank, column.operand);
      }
      if (!(lost >> slot & 1)) checker_.command(static_cast<hbm::Command>(row.command), row.pc, row.bank);
      checker_.advance(1);
    }
  }

  hbm::Device& device() { return device_; }
  uint64_t problems() const { return device_.problems() + checker_.violations(); }

 private:
  hbm::PhyBus bus_;
  hbm::Device device_;
  hbm::Checker checker_;
  bool checks_;
  native::Pin row_, column_, write_, write_mask_, write_valid_, read_, read_valid_, cke_, reset_n_, init_start_,
      temperature_, catastrophic_, address_error_, init_complete_, update_request_;
};

// A port to another chip, and the lanes that it sends on.
struct Port {
  Port(const native::Model& model, int number)
      : send(model.port("serdes." + std::to_string(number) + ".send")),
        send_idle(model.port("serdes." + std::to_string(number) + ".send_idle")),
        receive(model.port("serdes." + std::to_string(number) + ".receive")),
        receive_valid(model.port("serdes." + std::to_string(number) + ".receive_valid")),
        signal(model.port("serdes." + std::to_string(number) + ".signal")) {}
  native::Pin send, send_idle, receive, receive_valid, signal;
  int peer = -1, peer_port = 0;
  std::unique_ptr<link::Channel> channel;
};

struct Chip {
  Chip(const native::Factory& factory, const std::function<void()>& clock, const std::function<bool()>& pausing)
      : model(factory()), host(model, clock, pausing), causes(model), interrupt(model.port("interrupts")) {}

  native::Model model;
  Host host;
  Causes causes;
  native::Pin interrupt;
  std::vector<std::vector<native::Pin>> clocks;  // of each `Clock`
  std::vector<native::Pin> resets;
  std::vector<std::unique_ptr<Memory>> memories;
  std::vector<Port> ports;
  bool in_reset = false;
  uint64_t memory_digest = 0, lane_digest = 0;
};

// A clock of all chips: when its next edge comes, and what else moves with it.
struct Clock {
  std::string name;
  uint64_t period = 1, next = 0;  // femtoseconds
  bool memory = true, lanes = true;
};

class Bench {
 public:
  Bench(const native::Factory& factory, const native::Parameters& given) {
    const int count = static_cast<int>(given.number("chips"));
    const int lanes = static_cast<int>(given.number("lanes")), lane_bits = static_cast<int>(given.number("lane_bits"));
    const auto delay = static_cast<int>(given.number("delay"));
    lane_bytes_ = static_cast<size_t>(lanes * lane_bits / 8);
    valid_ = lanes ? (uint64_t{1} << lanes) - 1 : 0;
    link::Faults faults;
    faults.bit_errors = std::stod(given.text("bit_errors"));
    uint64_t slowest = 0;
    for (const std::string& line : given.all("clock")) {  // name, period; the first is the chip's own
      std::istringstream words(line);
      clocks_.emplace_back();
      words >> clocks_.back().name >> clocks_.back().period;
      if (clocks_.back().period > slowest) slowest = clocks_.back().period;
    }
    for (Clock& clock : clocks_) {
      clock.memory = clocks_.size() == 1 || clock.name == "hbm_clk";
      clock.lanes = clocks_.size() == 1 || clock.name == "link_clk";
    }
    reset_ = RESET * ((slowest + clocks_.at(0).period - 1) / clocks_[0].period);
    for (int number = 0; number < count; ++number) {
      chips_.push_back(std::make_unique<Chip>(
          factory, [this] { clock(); }, [this] { return pausing(); }));
      Chip& chip = *chips_.back();
      join(chip);
      for (int channel = 0; channel < given.number("channels"); ++channel)
        chip.memories.push_back(std::make_unique<Memory>(
            chip.model, "phy." + std::to_string(channel) + ".", given, given.number("checks") != 0));
      for (int port = 0; port < given.number("ports"); ++port) {
        chip.ports.emplace_back(chip.model, port);
        std::vector<link::LaneSettings> settings;
        for (int lane = 0; lane < lanes; ++lane) settings.push_back({delay, lane, false});
        const auto seed = static_cast<uint64_t>(given.number("seed") * 1000 + number * 16 + port);
        chip.ports.back().channel = std::make_unique<link::Channel>(lane_bits, settings, seed);
        chip.ports.back().channel->set(faults);
      }
    }
    for (const std::string& line : given.all("link")) {  // chip, port, peer, its port
      std::istringstream words(line);
      size_t chip, port;
      int peer, peer_port;
      words >> chip >> port >> peer >> peer_port;
      chips_.at(chip)->ports.at(port).peer = peer;
      chips_.at(chip)->ports.at(port).peer_port = peer_port;
    }
    for (const std::string& line : given.all("pin")) {  // chip, name, value
      std::istringstream words(line);
      size_t chip;
      std::string name;
      uint64_t value;
      words >> chip >> name >> value;
      chips_.at(chip)->model.port(name).set(value);
    }
    limit_ = static_cast<uint64_t>(given.number("limit"));
    for (uint64_t cycle = 0; cycle < reset_; ++cycle) clock();
    in_reset_ = false;
    for (const auto& chip : chips_) chip->causes.restart(now_);
  }

  uint64_t now() const { return now_; }
  Chip& chip(uint32_t number) { return *chips_.at(number); }

  // A bit for each of the first chips: it interrupts.
  uint64_t interrupts() const {
    uint64_t found = 0;
    for (size_t number = 0; number < chips_.size() && number < 64; ++number)
      found |= (chips_[number]->interrupt.number() & 1) << number;
    return found;
  }

  void run(uint64_t clocks, uint64_t until) {
    for (uint64_t end = now_ + clocks; now_ < end && !(interrupts() & until);) clock();
  }

  uint64_t problems() const {
    uint64_t sum = 0;
    for (const auto& chip : chips_)
      for (const auto& memory : chip->memories) sum += memory->problems();
    return sum;
  }

  // Rows of a chip's memory that were ever written.
  uint64_t pages(uint32_t number) {
    uint64_t sum = 0;
    for (const auto& memory : chip(number).memories) sum += memory->device().pages();
    return sum;
  }

  // Where a word of memory is, in the memory devices of a chip; as native.py has it.
  struct Place {
    uint32_t channel, pc, bank, row, column;
  };
  struct Placed {
    Place place;
    hbm::Word word;
  };

  // Memory without the chip.
  void load(uint32_t number, const Bytes& bytes) {
    for (const Placed& each : items<Placed>(bytes))
      device_at(number, each.place)
          .write(static_cast<int>(each.place.pc), static_cast<int>(each.place.bank), each.place.row,
                 static_cast<int>(each.place.column), each.word);
  }
  std::vector<hbm::Word> dump(uint32_t number, const Bytes& bytes) {
    std::vector<hbm::Word> words;
    for (const Place& place : items<Place>(bytes)) {
      words.emplace_back();
      device_at(number, place)
          .read(static_cast<int>(place.pc), static_cast<int>(place.bank), place.row, static_cast<int>(place.column),
                words.back());
    }
    return words;
  }

  // A fault or event of a channel, as faults.h names them.
  void inject(uint32_t number, uint32_t channel, const std::string& text) {
    std::istringstream words(text);
    std::string name;
    words >> name;
    std::vector<int64_t> values;
    for (int64_t value; words >> value;) values.push_back(value);
    hbm::inject(chip(number).memories.at(channel)->device(), name, values);
  }

  // What the lanes are from now on that a port sends on.
  void set_lanes(uint32_t number, uint32_t port, uint32_t life) {
    link::Channel& channel = *chip(number).ports.at(port).channel;
    for (size_t lane = 0; lane < channel.lanes(); ++lane) channel.lane(lane).set(static_cast<link::Life>(life));
  }

  // Resets a chip; its memory and what is on the lanes stay.
  void reset(uint32_t number) {
    chip(number).in_reset = true;
    for (uint64_t cycle = 0; cycle < reset_; ++cycle) clock();
    chip(number).in_reset = false;
    chip(number).causes.restart(now_);
  }

  // Turns over bits of a memory of the model, of a word: those of the mask.
  void flip(uint32_t number, uint32_t memory, uint32_t address, const Bytes& mask) {
    Chip& it = chip(number);
    it.model.port("flip.memory").set(memory);
    it.model.port("flip.address").set(address);
    const native::Pin bits = it.model.port("flip.bits");
    std::memcpy(bits.at, mask.data(), mask.size() < bits.bytes ? mask.size() : bits.bytes);
    it.model.port("flip.valid").set(1);
    clock();
    it.model.port("flip.valid").set(0);
    clock();
  }

  // Of so many thousandths of the clocks the host is not there, on each of its streams.
  void set_pauses(uint64_t rate) { pauses_ = rate; }

 private:
  bool pausing() { return pauses_ && random_.below(1000) < pauses_; }

  hbm::Device& device_at(uint32_t number, const Place& place) {
    return chip(number).memories.at(place.channel)->device();
  }

  // Finds the pins of each clock, and of all resets. What is received in a recovered clock comes with the lanes.
  void join(Chip& chip) const {
    for (const Clock& clock : clocks_) {
      chip.clocks.emplace_back();
      for (const auto& [name, pin] : chip.model.ports)
        if (name == clock.name || (clock.lanes && name.rfind("rx_", 0) == 0 && ends(name, "_clk")))
          chip.clocks.back().push_back(pin);
    }
    for (const auto& [name, pin] : chip.model.ports)
      if (name == "rst" || ends(name, "_rst")) chip.resets.push_back(pin);
  }

  static bool ends(const std::string& name, const std::string& end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  }

  // Up to the next edge of the chips' own clock, and that.
  void clock() {
    if (now_ >= limit_) throw std::runtime_error("there is work left after " + std::to_string(limit_) + " clocks");
    const uint64_t edge = clocks_[0].next;
    for (size_t number = 1; number < clocks_.size(); ++number)
      while (clocks_[number].next < edge) step(clocks_[number].next);
    step(edge);
    for (const auto& chip : chips_) chip->causes.look(now_);
    ++now_;
  }

  // All edges at a time; others that are before it come first.
  void step(uint64_t time) {
    for (size_t number = 1; number < clocks_.size(); ++number)
      if (clocks_[number].next < time) step(clocks_[number].next);
    bool memory = false, lanes = false;
    for (const Clock& clock : clocks_) {
      if (clock.next != time) continue;
      memory |= clock.memory;
      lanes |= clock.lanes;
    }
    for (const auto& chip : chips_) {
      for (const native::Pin& pin : chip->resets) pin.set(in_reset_ || chip->in_reset);
      if (memory)
        for (const auto& device : chip->memories) device->drive();
      if (!lanes) continue;
      for (Port& port : chip->ports) {
        if (port.peer < 0) continue;
        const link::Channel& from =
            *chips_[static_cast<size_t>(port.peer)]->ports[static_cast<size_t>(port.peer_port)].channel;
        std::memcpy(port.receive.at, from.received(), lane_bytes_);
        port.receive_valid.set(valid_);
        port.signal.set(from.signal());
      }
    }
    for (const auto& chip : chips_) {
      set_clocks(*chip, time, 1);
      chip->model.evaluate();
    }
    for (const auto& chip : chips_) {
      if (memory)
        for (const auto& device : chip->memories) {
          device->digest(chip->memory_digest);
          device->take();
        }
      if (lanes)
        for (Port& port : chip->ports) {
          add(chip->lane_digest, port.send);
          port.channel->step(port.send.at, port.send_idle.number());
        }
      set_clocks(*chip, time, 0);
      chip->model.evaluate();
    }
    for (Clock& clock : clocks_)
      if (clock.next == time) clock.next += clock.period;
  }

  void set_clocks(const Chip& chip, uint64_t time, uint64_t level) const {
    for (size_t number = 0; number < clocks_.size(); ++number)
      if (clocks_[number].next == time)
        for (const native::Pin& pin : chip.clocks[number]) pin.set(level);
  }

  std::vector<std::unique_ptr<Chip>> chips_;
  std::vector<Clock> clocks_;
  uint64_t now_ = 0, limit_ = 0, valid_ = 0, reset_ = RESET;
  size_t lane_bytes_ = 0;
  bool in_reset_ = true;
  uint64_t pauses_ = 0;
  native::Random random_{1};
};

// The pipe.
template <class Number>
Number number() {
  Number value;
  if (std::fread(&value, sizeof(value), 1, stdin) != 1) throw std::runtime_error("a request ends early");
  return value;
}

Bytes bytes_of() {
  Bytes bytes(number<uint32_t>());
  if (std::fread(bytes.data(), 1, bytes.size(), stdin) != bytes.size()) throw std::runtime_error("a request ends early");
  return bytes;
}

template <class Number>
void answer(Number value) {
  std::fwrite(&value, sizeof(value), 1, stdout);
}

template <class Item>
void answers(const std::vector<Item>& found) {
  answer<uint8_t>(0), answer<uint32_t>(static_cast<uint32_t>(found.size() * sizeof(Item)));
  std::fwrite(found.data(), sizeof(Item), found.size(), stdout);
}

void serve(Bench& bench) {
  for (int request = std::getchar(); request != EOF; request = std::getchar()) {
    switch (request) {
      case 'r':
      case 'w': {
        const auto chip = number<uint32_t>();
        const auto address = number<uint32_t>();
        auto value = request == 'w' ? number<uint32_t>() : 0;
        const int response = bench.chip(chip).host.access(address, request == 'w', value);
        answer<uint8_t>(0), answer<uint32_t>(static_cast<uint32_t>(response)), answer(value);
        break;
      }
      case 'W': {
        const auto chip = number<uint32_t>();
        const auto address = number<uint64_t>();
        const int response = bench.chip(chip).host.write(address, bytes_of());
        answer<uint8_t>(0), answer<uint32_t>(static_cast<uint32_t>(response));
        break;
      }
      case 'R': {
        const auto chip = number<uint32_t>();
        const auto address = number<uint64_t>();
        Bytes bytes(number<uint32_t>());
        const int response = bench.chip(chip).host.read(address, bytes);
        answer<uint8_t>(0), answer<uint32_t>(static_cast<uint32_t>(response));
        std::fwrite(bytes.data(), 1, bytes.size(), stdout);
        break;
      }
      case 'L': {
        const auto chip = number<uint32_t>();
        bench.load(chip, bytes_of());
        answer<uint8_t>(0);
        break;
      }
      case 'D': {
        const auto chip = number<uint32_t>();
        const auto words = bench.dump(chip, bytes_of());
        answer<uint8_t>(0);
        std::fwrite(words.data(), sizeof(hbm::Word), words.size(), stdout);
        break;
      }
      case 'g': {
        const auto clocks = number<uint64_t>();
        bench.run(clocks, number<uint64_t>());
        answer<uint8_t>(0), answer(bench.now()), answer(bench.interrupts()), answer(bench.problems());
        break;
      }
      case 'd': {
        const Chip& it = bench.chip(number<uint32_t>());
        answer<uint8_t>(0), answer(it.memory_digest), answer(it.lane_digest);
        break;
      }
      case 'p': {
        answer<uint8_t>(0), answer(bench.pages(number<uint32_t>()));
        break;
      }
      case 'f': {
        const auto chip = number<uint32_t>(), channel = number<uint32_t>();
        const Bytes text = bytes_of();
        bench.inject(chip, channel, std::string(text.begin(), text.end()));
        answer<uint8_t>(0);
        break;
      }
      case 'l': {
        const auto chip = number<uint32_t>(), port = number<uint32_t>();
        bench.set_lanes(chip, port, number<uint32_t>());
        answer<uint8_t>(0);
        break;
      }
      case 'x': {
        bench.reset(number<uint32_t>());
        answer<uint8_t>(0);
        break;
      }
      case 'b': {
        const auto chip = number<uint32_t>(), memory = number<uint32_t>(), address = number<uint32_t>();
        bench.flip(chip, memory, address, bytes_of());
        answer<uint8_t>(0);
        break;
      }
      case 's': {
        bench.set_pauses(number<uint64_t>());
        answer<uint8_t>(0);
        break;
      }
      case 'A': {
        const auto chip = number<uint32_t>();
        answers(bench.chip(chip).host.read_bursts(items<Burst>(bytes_of())));
        break;
      }
      case 'a': {
        const auto chip = number<uint32_t>();
        const auto bursts = items<Burst>(bytes_of());
        answers(bench.chip(chip).host.write_bursts(bursts, items<Given>(bytes_of())));
        break;
      }
      case 'c': {
        const auto chip = number<uint32_t>();
        bench.chip(chip).causes.watch(number<uint32_t>() != 0);
        answer<uint8_t>(0);
        break;
      }
      case 'C': {
        const auto chip = number<uint32_t>();
        answers(bench.chip(chip).causes.spans(number<uint32_t>()));
        break;
      }
      default:
        throw std::runtime_error("no such request");
    }
    std::fflush(stdout);
  }
}

}  // namespace

}  // namespace chip

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS");
  const native::Parameters given(argv[1]);
  chip::Bench bench(factory, given);
  chip::serve(bench);
  return 0;
} catch (const std::exception& error) {
  const std::string text = error.what();
  const auto length = static_cast<uint32_t>(text.size());
  std::putchar(1);
  std::fwrite(&length, sizeof(length), 1, stdout);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return 1;
}
