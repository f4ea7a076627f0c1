// Whole chips' links, joined port to port by channels: transactions between all of them, collective packets over every
// link, and links that die.
//
// usage (by model_main.cpp): bench_main PARAMETERS RESULT
//
// PARAMETERS is written by fabric_native.py. Every chip has a part of every other one's memory for itself, and knows what
// must be in it: a request that is carried out twice, not at all or too late shows in the answers and in the memory.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "bench_io.h"
#include "channel.h"
#include "model.h"
#include "packets.h"

namespace link {

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t RESET = 64;
constexpr uint32_t MOST_BYTES = 300;  // of a transaction
constexpr uint64_t WRITE = 1, READ = 2, ADD = 3, SIGNAL = 6, DATA = 9;
constexpr uint64_t OKAY = 0, UNREACHABLE = 4;
constexpr size_t MOST_PROBLEMS = 10;

Bytes bytes_of(std::istringstream& words) {
  Bytes bytes;
  for (unsigned value; words >> value;) bytes.push_back(static_cast<uint8_t>(value));
  return bytes;
}

void put(const native::Pin& pin, const Bytes& bytes) {
  for (size_t at = 0; at < pin.bytes; ++at) pin.at[at] = at < bytes.size() ? bytes[at] : 0;
}

struct Stream {
  Stream(const native::Model& model, const std::string& name)
      : valid(model.port(name + ".valid")), ready(model.port(name + ".ready")), payload(model.port(name + ".payload")) {}
  bool moves() const { return valid.number() && ready.number(); }
  native::Pin valid, ready, payload;
};

struct Port {
  Port(const native::Model& model, const std::string& number)
      : send(model.port("serdes." + number + ".send")), send_idle(model.port("serdes." + number + ".send_idle")),
        receive(model.port("serdes." + number + ".receive")),
        receive_valid(model.port("serdes." + number + ".receive_valid")),
        signal(model.port("serdes." + number + ".signal")), status(model.port("ports." + number)) {}
  native::Pin send, send_idle, receive, receive_valid, signal, status;
  int peer = -1, peer_port = 0;
  std::unique_ptr<Channel> channel;  // what this port sends
  uint64_t resets = 0;
};

// A transaction that is not answered yet.
struct Pending {
  uint64_t operation = 0;
  size_t to = 0;
  Bytes data;           // that must come back
  bool known = true;    // it is certain what must come back
};

struct Chip {
  explicit Chip(const native::Factory& factory)
      : model(factory()), clk(model.port("clk")), rst(model.port("rst")), routes(model.port("routes")),
        reopen(model.port("reopen")), requests(model, "requests"), answers(model, "answers"),
        accesses(model, "memory.accesses"), results(model, "memory.results") {}
  native::Model model;
  native::Pin clk, rst, routes, reopen;
  Stream requests, answers, accesses, results;
  std::vector<Port> ports;
  std::vector<Bytes> lines;
  Bytes memory;
  std::vector<Bytes> expected;              // of its part of each chip's memory
  std::vector<uint64_t> signals;            // sent to each chip
  std::map<uint64_t, Pending> pending;      // by tag
  std::vector<uint64_t> answered, lost;     // requests to each chip
  std::deque<Bytes> words;                  // of the request that is being sent
  std::optional<std::pair<uint64_t, Pending>> sending;
  std::deque<Bytes> read;
  bool offers_result = false, takes_access = false, takes_answer = false, offers_word = false;
  uint64_t tag = 0, status = 0;             // of the answer that is coming
  Bytes coming;
  uint64_t reset_until = RESET, next_line = 0;
};

class Bench {
 public:
  Bench(const native::Factory& factory, const native::Parameters& parameters)
      : parameters_(parameters), layout_(parameters), random_(static_cast<uint64_t>(parameters.number("seed"))),
        resets_(parameters.field("resets")), gone_(parameters.field("gone")), status_(parameters.field("header.status")),
        destination_(parameters.field("header.destination")), tag_(parameters.field("header.tag")),
        address_(parameters.field("header.address")), write_(parameters.field("access.write")),
        word_address_(parameters.field("access.address")), access_data_(parameters.field("access.data")),
        mask_(parameters.field("access.mask")), beat_(static_cast<size_t>(parameters.number("beat_bytes"))),
        region_(static_cast<uint64_t>(parameters.number("region"))), tags_(static_cast<uint64_t>(parameters.number("tags"))) {
    const auto count = static_cast<size_t>(parameters.number("chips"));
    const auto seed = static_cast<uint64_t>(parameters.number("seed"));
    for (size_t number = 0; number < count; ++number) {
      chips_.push_back(std::make_unique<Chip>(factory));
      Chip& chip = *chips_.back();
      for (int port = 0; port < parameters.number("ports"); ++port)
        chip.ports.emplace_back(chip.model, std::to_string(port));
      chip.memory.assign(region_ * count, 0);
      for (uint8_t& byte : chip.memory) byte = static_cast<uint8_t>(random_.next() >> 24);
      chip.signals.assign(count, 0), chip.answered.assign(count, 0), chip.lost.assign(count, 0);
    }
    for (const auto& chip : chips_) know(*chip);
    for (const std::string& line : parameters.all("route")) {  // chip, bytes
      std::istringstream words(line);
      size_t chip;
      words >> chip;
      chips_.at(chip)->lines.push_back(bytes_of(words));
    }
    for (const std::string& line : parameters.all("pin")) {  // chip, name, bytes
      std::istringstream words(line);
      size_t chip;
      std::string name;
      words >> chip >> name;
      put(chips_.at(chip)->model.port(name), bytes_of(words));
    }
    const auto lane_bits = static_cast<int>(parameters.number("lane_bits"));
    const auto lanes = static_cast<int>(parameters.number("lanes"));
    valid_ = (uint64_t{1} << lanes) - 1;
    for (const std::string& line : parameters.all("link")) {  // chip, port, peer, its port, delay
      std::istringstream words(line);
      size_t number, place;
      int delay;
      words >> number >> place;
      Port& port = chips_.at(number)->ports.at(place);
      words >> port.peer >> port.peer_port >> delay;
      std::vector<LaneSettings> settings;
      for (int lane = 0; lane < lanes; ++lane) settings.push_back({delay, lane, false});
      port.channel = std::make_unique<Channel>(lane_bits, settings, seed * 1000 + number * 16 + place);
      Faults faults;
      faults.bit_errors = std::stod(parameters.text("bit_errors"));
      port.channel->set(faults);
      collective(number, place, port, seed);
    }
    for (const std::string& line : parameters.all("event")) events_.push_back(line);
    for (const std::string& name : parameters.all("note")) noted_fields_.emplace_back(name, parameters.field(name));
  }

  void run() {
    const auto clocks = static_cast<uint64_t>(parameters_.number("clocks"));
    const auto drain = static_cast<uint64_t>(parameters_.number("drain"));
    while (now_ < clocks && problems_.empty() && !wrong()) clock();
    more_ = false;
    while (now_ < clocks + drain && problems_.empty() && !wrong() && !empty()) clock();
    left_ = !empty();
    if (!left_ && problems_.empty()) compare();
  }

  void write(const std::string& path) const {
    std::ofstream file(path);
    uint64_t bits = 0;
    for (const auto& chip : chips_)
      for (const Port& port : chip->ports)
        if (port.channel) bits += port.channel->wrong_bits();
    file << "{\"simulated\": " << now_ << ", \"left\": " << left_ << ", \"wrong_bits\": " << bits << ", \"problems\": [";
    const char* comma = "";
    const auto tell = [&](const std::string& text) { file << comma << "\"" << text << "\"", comma = ", "; };
    for (const std::string& problem : problems_) tell(problem);
    for (const auto& flow : flows_)
      for (const std::string& problem : flow.flow->problems) tell(problem);
    file << "], \"notes\": [";
    for (size_t i = 0; i < notes_.size(); ++i) file << (i ? ", " : "") << notes_[i];
    file << "], \"flows\": [";
    for (size_t i = 0; i < flows_.size(); ++i) {
      const Path& path_of = flows_[i];
      file << (i ? ", " : "") << "{\"chip\": " << path_of.chip << ", \"port\": " << path_of.port
           << ", \"packets_in\": " << path_of.flow->packets_in << ", \"packets_out\": " << path_of.flow->packets_out
           << ", \"lost\": " << path_of.flow->lost << "}";
    }
    file << "], \"chips\": [";
    for (size_t i = 0; i < chips_.size(); ++i) {
      const Chip& chip = *chips_[i];
      file << (i ? ", " : "") << "{\"answered\": " << list(chip.answered) << ", \"unreachable\": " << list(chip.lost)
           << ", \"ports\": [";
      for (size_t port = 0; port < chip.ports.size(); ++port) {
        const native::Pin& pin = chip.ports[port].status;
        file << (port ? ", " : "") << list(Bytes(pin.at, pin.at + pin.bytes));
      }
      file << "]}";
    }
    file << "]}\n";
    if (!file) throw std::runtime_error("cannot write " + path);
  }

 private:
  struct Path {
    size_t chip, port;
    std::unique_ptr<Flow> flow;
  };

  template <class Numbers>
  static std::string list(const Numbers& numbers) {
    std::string text = "[";
    for (const auto number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
    return text + "]";
  }

  // Collective packets from a port's stream of the engine to that of the other end.
  void collective(size_t number, size_t place, const Port& port, uint64_t seed) {
    std::istringstream words(parameters_.text("collectives"));
    Traffic traffic;
    words >> traffic.least >> traffic.most >> traffic.operations >> traffic.pause >> traffic.stall >> traffic.hold >>
        traffic.packets;
    const native::Model &a = chips_[number]->model, &b = chips_.at(static_cast<size_t>(port.peer))->model;
    const std::string in = "collectives." + std::to_string(place);
    const std::string out = "to_collectives." + std::to_string(port.peer_port);
    auto flow = std::make_unique<Flow>("chip " + std::to_string(number) + ", port " + std::to_string(place), layout_,
                                       traffic, native::scramble(seed + 7) + number * 16 + place, a.port(in + ".valid"),
                                       a.port(in + ".ready"), a.port(in + ".payload"), b.port(out + ".valid"),
                                       b.port(out + ".ready"), b.port(out + ".payload"));
    Flow::Header mask{}, value{};
    Bytes ones(32, 0), given(32, 0);
    destination_.set(ones.data(), ~uint64_t{0}), destination_.set(given.data(), static_cast<uint64_t>(port.peer));
    status_.set(ones.data(), ~uint64_t{0}), status_.set(given.data(), static_cast<uint64_t>(port.peer_port));
    std::copy_n(ones.begin(), HEADER_BYTES, mask.begin());
    std::copy_n(given.begin(), HEADER_BYTES, value.begin());
    flow->fix(mask, value);
    flows_.push_back({number, place, std::move(flow)});
  }

  void clock() {
    while (next_event_ < events_.size() && std::stoull(events_[next_event_]) <= now_) happen(events_[next_event_++]);
    for (const auto& chip : chips_) drive(*chip);
    for (const Path& path : flows_) {
      const bool in_reset = chips_[path.chip]->reset_until + 256 > now_;  // its routes are not there yet
      path.flow->drive_in(more_ && !quiet_ && !in_reset);
      path.flow->drive_out();
    }
    for (const auto& chip : chips_) {
      chip->clk.set(1);
      chip->model.evaluate();
      chip->clk.set(0);
      chip->model.evaluate();
    }
    for (const auto& chip : chips_)
      if (now_ >= chip->reset_until) take(*chip);
    for (const Path& path : flows_) {
      const Port& port = chips_[path.chip]->ports[path.port];
      if (now_ >= chips_[path.chip]->reset_until) path.flow->sample_in(now_);
      if (now_ >= chips_[static_cast<size_t>(port.peer)]->reset_until) path.flow->sample_out(now_);
    }
    for (const auto& chip : chips_)
      for (Port& port : chip->ports)
        if (port.channel) port.channel->step(port.send.at, port.send_idle.number());
    ++now_;
    watch();
  }

  void drive(Chip& chip) {
    const bool reset = now_ < chip.reset_until;
    chip.rst.set(reset);
    const bool has_line = !reset && chip.next_line < chip.lines.size();
    put(chip.routes, has_line ? chip.lines[chip.next_line++] : Bytes());
    chip.reopen.set(now_ == reopen_at_);
    for (Port& port : chip.ports) {
      if (!port.channel) continue;
      const Channel& from = *chips_[static_cast<size_t>(port.peer)]->ports[static_cast<size_t>(port.peer_port)].channel;
      std::memcpy(port.receive.at, from.received(), beat_);
      port.receive_valid.set(valid_);
      port.signal.set(from.signal());
    }
    if (!chip.offers_word) {
      const bool may = !reset && now_ > chip.reset_until + 256 && more_ && !quiet_;
      if (chip.words.empty() && may && random_.below(4) == 0) ask(chip);
      chip.offers_word = !chip.words.empty() && random_.below(4) != 0;
      chip.requests.valid.set(chip.offers_word);
      if (chip.offers_word) put(chip.requests.payload, chip.words.front());
    }
    if (!chip.offers_result) {
      chip.offers_result = !chip.read.empty() && random_.below(4) != 0;
      chip.results.valid.set(chip.offers_result);
      if (chip.offers_result) put(chip.results.payload, chip.read.front());
    }
    chip.takes_access = random_.below(4) != 0, chip.accesses.ready.set(chip.takes_access);
    chip.takes_answer = random_.below(4) != 0, chip.answers.ready.set(chip.takes_answer);
  }

  // A request of any kind to any chip of which a tag is free.
  void ask(Chip& chip) {
    const size_t to = random_.below(chips_.size());
    const uint64_t tag = to * tags_ + random_.below(tags_);
    if (chips_[to].get() == &chip || chip.pending.count(tag)) return;
    const uint64_t operation = std::array<uint64_t, 4>{WRITE, READ, ADD, SIGNAL}[random_.below(4)];
    const size_t me = place_of(chip);
    Pending pending;
    pending.operation = operation;
    pending.to = to;
    uint64_t size = operation == ADD ? 4 : 1 + random_.below(MOST_BYTES);
    uint64_t at = random_.below(region_ - size + 1);
    if (operation == ADD) at &= ~uint64_t{3};
    Bytes data;
    uint8_t* model = &chip.expected[to][at];
    if (operation == WRITE || operation == ADD)
      for (uint64_t i = 0; i < size; ++i) data.push_back(static_cast<uint8_t>(random_.next() >> 24));
    if (operation == READ || operation == ADD) pending.data.assign(model, model + size);
    if (operation == WRITE) std::memcpy(model, data.data(), size);
    if (operation == ADD) {
      uint32_t before, more;
      std::memcpy(&before, model, 4), std::memcpy(&more, data.data(), 4);
      before += more;
      std::memcpy(model, &before, 4);
    }
    if (operation == SIGNAL) chip.signals[to] += size;
    const uint64_t address = operation == SIGNAL ? me : me * region_ + at;
    for (uint64_t sent = 0; sent == 0 || sent < data.size(); sent += beat_) {
      Bytes word(chip.requests.payload.bytes + 16, 0);
      uint8_t* header = &word[layout_.header];
      if (sent == 0) {
        layout_.operation.set(word.data(), operation);
        layout_.length.set(word.data(), size - 1);
        destination_.set(header, to), tag_.set(header, tag), address_.set(header, address);
      }
      const uint64_t count = std::min<uint64_t>(beat_, data.size() - sent);
      std::copy_n(data.begin() + static_cast<int64_t>(sent), count, word.begin() + static_cast<int64_t>(layout_.data));
      layout_.filled.set(word.data(), count != 0);
      layout_.count.set(word.data(), count ? count - 1 : 0);
      layout_.first.set(word.data(), sent == 0);
      layout_.last.set(word.data(), sent + beat_ >= data.size());
      chip.words.push_back(word);
    }
    chip.pending[tag] = pending;
  }

  void take(Chip& chip) {
    if (chip.offers_word && chip.requests.ready.number()) chip.words.pop_front(), chip.offers_word = false;
    if (chip.offers_result && chip.results.ready.number()) chip.read.pop_front(), chip.offers_result = false;
    if (chip.takes_access && chip.accesses.valid.number()) access(chip);
    if (chip.takes_answer && chip.answers.valid.number()) answer(chip);
  }

  void access(Chip& chip) {
    Bytes word(chip.accesses.payload.at, chip.accesses.payload.at + chip.accesses.payload.bytes);
    word.resize(word.size() + 16);
    const uint64_t at = word_address_.get(word.data()) * beat_;
    if (at + beat_ > chip.memory.size()) throw std::runtime_error("an access beyond the memory");
    if (!write_.get(word.data())) {
      Bytes result(chip.results.payload.bytes, 0);
      std::copy_n(chip.memory.begin() + static_cast<int64_t>(at), beat_, result.begin());
      chip.read.push_back(result);
      return;
    }
    for (size_t byte = 0; byte < beat_; ++byte) {
      const native::Field bit{mask_.offset + static_cast<uint32_t>(byte), 1};
      const native::Field data{access_data_.offset + static_cast<uint32_t>(8 * byte), 8};
      if (bit.get(word.data())) chip.memory[at + byte] = static_cast<uint8_t>(data.get(word.data()));
    }
  }

  void answer(Chip& chip) {
    Bytes word(chip.answers.payload.at, chip.answers.payload.at + chip.answers.payload.bytes);
    word.resize(word.size() + 16);
    if (layout_.first.get(word.data())) {
      const uint8_t* header = &word[layout_.header];
      chip.tag = tag_.get(header), chip.status = status_.get(header), chip.coming.clear();
    }
    if (layout_.filled.get(word.data())) {
      const auto begin = word.begin() + static_cast<int64_t>(layout_.data);
      chip.coming.insert(chip.coming.end(), begin, begin + static_cast<int64_t>(layout_.count.get(word.data()) + 1));
    }
    if (!layout_.last.get(word.data()) || layout_.cut.get(word.data())) return;  // after a cut, another one follows
    const auto found = chip.pending.find(chip.tag);
    if (found == chip.pending.end()) return problem(chip, "an answer to nothing");
    const Pending pending = found->second;
    chip.pending.erase(found);
    ++(chip.status == UNREACHABLE ? chip.lost : chip.answered)[pending.to];
    if (chip.status == UNREACHABLE) {
      // It may have been done or not; its tag stays closed.
      sure_ = false;
      chip.pending[chip.tag] = Pending{0, pending.to, {}, false};
      return;
    }
    if (chip.status != OKAY) return problem(chip, "an answer of status " + std::to_string(chip.status));
    if (sure_ && pending.known && chip.coming != pending.data)
      problem(chip, "operation " + std::to_string(pending.operation) + " to chip " + std::to_string(pending.to) +
                        " found what was not there");
  }

  void happen(const std::string& line) {
    std::istringstream words(line);
    uint64_t at;
    std::string name;
    words >> at >> name;
    size_t chip = 0, port = 0;
    if (name == "life") {  // chip, port, state of all lanes that it sends on
      int life;
      words >> chip >> port >> life;
      Channel& channel = *chips_.at(chip)->ports.at(port).channel;
      for (size_t lane = 0; lane < channel.lanes(); ++lane) channel.lane(lane).set(static_cast<Life>(life));
    } else if (name == "quiet") {
      quiet_ = true;
    } else if (name == "resume") {
      // What timed out is done or will never be.
      for (const auto& each : chips_) {
        each->pending.clear();
        know(*each);
        each->signals.assign(chips_.size(), 0);
      }
      for (size_t from = 0; from < chips_.size(); ++from)
        for (size_t to = 0; to < chips_.size(); ++to) chips_[from]->signals[to] = semaphore(to, from);
      quiet_ = false, sure_ = true, reopen_at_ = at;
    } else if (name == "reset") {  // chip
      words >> chip;
      Chip& it = *chips_.at(chip);
      it.reset_until = now_ + RESET, it.next_line = 0;
      it.pending.clear(), it.words.clear(), it.read.clear();
      it.offers_word = it.offers_result = false;
      it.requests.valid.set(0), it.results.valid.set(0);
      sure_ = false;
      for (const Path& path : flows_) {
        if (path.chip == chip) path.flow->sender_reset();
        if (static_cast<size_t>(chips_[path.chip]->ports[path.port].peer) == chip) path.flow->receiver_reset();
      }
    } else {
      throw std::runtime_error("event " + name + ": unknown");
    }
  }

  // A port whose link layer is reset, or that has given up, loses what is on its way. Notes when fields change.
  void watch() {
    for (const Path& path : flows_) {
      const Port& mine = chips_[path.chip]->ports[path.port];
      const Port& other = chips_[static_cast<size_t>(mine.peer)]->ports[static_cast<size_t>(mine.peer_port)];
      const bool gone = gone_.get(mine.status.at) || gone_.get(other.status.at);
      const bool reset = resets_.get(mine.status.at) != mine.resets || resets_.get(other.status.at) != other.resets;
      if (gone || reset) path.flow->link_reset();
    }
    for (size_t chip = 0; chip < chips_.size(); ++chip)
      for (size_t place = 0; place < chips_[chip]->ports.size(); ++place) {
        Port& port = chips_[chip]->ports[place];
        port.resets = resets_.get(port.status.at);
        if (!port.channel) continue;
        for (const auto& [name, field] : noted_fields_) {
          const std::string key = std::to_string(chip) + ", " + std::to_string(place) + ", \"" + name + "\"";
          const uint64_t value = field.get(port.status.at);
          const auto found = noted_.find(key);
          if (found != noted_.end() && found->second == value) continue;
          noted_[key] = value;
          if (notes_.size() < 5000)
            notes_.push_back("[" + std::to_string(now_) + ", " + key + ", " + std::to_string(value) + "]");
        }
      }
  }

  size_t place_of(const Chip& chip) const {
    size_t place = 0;
    while (chips_[place].get() != &chip) ++place;
    return place;
  }

  // What a chip has in the others' memories is what it expects there.
  void know(Chip& chip) {
    const auto at = static_cast<int64_t>(place_of(chip) * region_);
    chip.expected.clear();
    for (const auto& other : chips_) {
      const auto begin = other->memory.begin() + at;
      chip.expected.emplace_back(begin, begin + static_cast<int64_t>(region_));
    }
  }

  uint64_t semaphore(size_t chip, size_t number) const {
    return chips_[chip]->model.port("semaphores." + std::to_string(number)).number();
  }

  void compare() {
    if (!sure_) return;
    for (size_t from = 0; from < chips_.size(); ++from)
      for (size_t to = 0; to < chips_.size(); ++to) {
        const auto begin = chips_[to]->memory.begin() + static_cast<int64_t>(from * region_);
        if (!std::equal(begin, begin + static_cast<int64_t>(region_), chips_[from]->expected[to].begin()))
          problem(*chips_[from], "what it wrote to chip " + std::to_string(to) + " is not there");
        if (from != to && semaphore(to, from) != (chips_[from]->signals[to] & 0xffffffff))
          problem(*chips_[from], "its signals to chip " + std::to_string(to) + " do not add up");
      }
  }

  void problem(const Chip& chip, const std::string& what) {
    if (problems_.size() < MOST_PROBLEMS)
      problems_.push_back("clock " + std::to_string(now_) + ": chip " + std::to_string(place_of(chip)) + ": " + what);
  }

  bool wrong() const {
    return std::any_of(flows_.begin(), flows_.end(), [](const Path& path) { return path.flow->wrong > 0; });
  }

  bool empty() const {
    const auto done = [](const auto& chip) {
      return chip->words.empty() && std::none_of(chip->pending.begin(), chip->pending.end(), [](const auto& each) {
        return each.second.known;
      });
    };
    return std::all_of(chips_.begin(), chips_.end(), done) &&
           std::all_of(flows_.begin(), flows_.end(), [](const Path& path) { return path.flow->empty(); });
  }

  const native::Parameters& parameters_;
  WordLayout layout_;
  native::Random random_;
  native::Field resets_, gone_, status_, destination_, tag_, address_, write_, word_address_, access_data_, mask_;
  size_t beat_;
  uint64_t region_, tags_, valid_ = 0;
  std::vector<std::unique_ptr<Chip>> chips_;
  std::vector<Path> flows_;
  std::vector<std::string> events_;
  size_t next_event_ = 0;
  uint64_t now_ = 0, reopen_at_ = ~uint64_t{0};
  bool more_ = true, quiet_ = false, sure_ = true, left_ = false;
  std::vector<std::pair<std::string, native::Field>> noted_fields_;
  std::map<std::string, uint64_t> noted_;
  std::vector<std::string> notes_, problems_;
};

}  // namespace

}  // namespace link

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS RESULT");
  const native::Parameters parameters(argv[1]);
  link::Bench bench(factory, parameters);
  bench.run();
  bench.write(argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
