// Runs traffic on the Verilated channel, with the device model and the checker at its PHY, at the model's own speed.
//
// arguments: PARAMETERS RESULT
//
// native.py writes the one, with all layouts in it, reads the other (JSON), and explains each field of both.

#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "bench_io.h"
#include "checker.h"
#include "command_pairs.h"
#include "control.h"
#include "device.h"
#include "digest.h"
#include "faults.h"
#include "golden.h"
#include "model.h"
#include "phy_bus.h"
#include "row_watch.h"
#include "traffic.h"

using namespace hbm;

namespace {

constexpr int GROUPS = 4, BANKS_PER_GROUP = 4;  // of a SID
constexpr uint64_t PATIENCE = 50'000;  // clocks without a handshake, with work left

struct StreamPins {
  Pin payload, valid, ready;
};

// One port's four streams, and its traffic.
struct Port {
  StreamPins requests, words, responses, acknowledges;
  std::unique_ptr<Traffic> traffic;
  bool response_waits = false;
  std::vector<uint8_t> waiting;
};

struct Event {
  uint64_t clock;
  std::string name;
  std::vector<int64_t> values;
  std::string text;
};

class Bench {
 public:
  Bench(const Factory& factory, const Parameters& given);
  void run();
  void write(const std::string& path, double seconds) const;

 private:
  using Words = std::vector<uint64_t>;

  bool has(const std::string& name) const { return model_.ports.count(name) > 0; }
  Pin port(const std::string& name) const { return model_.port(name); }
  StreamPins stream(const std::string& name, size_t index) const {
    const std::string prefix = name + "." + std::to_string(index) + ".";
    return {port(prefix + "payload"), port(prefix + "valid"), port(prefix + "ready")};
  }
  void offer(Port& port, bool more);
  bool take(Port& port);
  void memory_clock();
  void look();
  void happen(const Event& event);
  bool all_idle() const;
  void step(bool more);
  void complain(const std::string& text);
  Words counters() const;
  uint64_t flags(const std::string& name) const;
  uint64_t unclean() const;
  void restart();
  void forget();

  Model model_;
  Pin clk_, rst_;
  Background background_;
  Mapping mapping_;
  Golden golden_{mapping_, background_};
  Checker checker_;
  Device device_;
  RowWatch row_watch_;
  CommandPairs pairs_;
  ChannelDigest digest_;
  std::vector<Pin> counters_, flags_, records_;
  std::vector<Port> ports_;
  std::optional<Control> control_;  // of a whole controller
  std::vector<Access> setup_, last_;
  uint64_t set_up_ = 0;  // accesses of the control port after which the channel is at rest
  std::vector<Event> events_;
  size_t next_event_ = 0;

  Field request_write_, request_address_, request_last_, request_tag_, response_tag_, response_last_, response_error_,
      response_corrected_, acknowledge_tag_, acknowledge_error_, record_valid_;
  uint32_t response_data_, word_data_, word_mask_;  // byte offsets
  PhyBus bus_;
  Pin row_, column_, write_, write_mask_, write_valid_, read_, read_valid_, cke_, reset_n_, init_start_,
      temperature_, catastrophic_, address_error_, init_complete_, update_request_, update_acknowledge_;

  uint64_t clock_ = 0, start_ = 0, quiet_since_ = 0, paused_until_ = 0, warmup_, length_, drain_, most_violations_;
  uint64_t reads_[PCS] = {0, 0}, writes_[PCS] = {0, 0};
  bool measuring_ = false, gave_up_ = false, waves_ = false, resetting_ = false, updating_ = false, resting_ = false;
  uint64_t updates_ = 0, lost_[COMMANDS] = {};
  Words before_, after_;
  std::vector<std::string> complaints_;
};

Mapping mapping_of(const std::vector<uint64_t>& v) {
  return {v.at(0) != 0, v.at(1) != 0, static_cast<int>(v.at(2)), static_cast<int>(v.at(3))};
}

HammerLimits hammer_limits_of(const std::vector<uint64_t>& v) {
  return {static_cast<int64_t>(v.at(0)), static_cast<int64_t>(v.at(1)), static_cast<int>(v.at(2))};
}

Bench::Bench(const Factory& factory, const Parameters& given)
    : model_(factory()),
      clk_(port("clk")),
      rst_(port("rst")),
      background_(given.numbers("check_columns")),
      mapping_(mapping_of(given.numbers("mapping"))),
      checker_(Table(joined(given.all("table")))),
      device_(organisation_of(given)),
      row_watch_(hammer_limits_of(given.numbers("hammer"))),
      pairs_(BANKS_PER_GROUP, GROUPS),
      bus_(given),
      warmup_(given.number("warmup")),
      length_(given.number("clocks")),
      drain_(given.number("drain")),
      most_violations_(given.number("most_violations")) {
  request_write_ = given.field("request.write");
  request_address_ = given.field("request.address");
  request_last_ = given.field("request.last");
  request_tag_ = given.field("request.tag");
  response_tag_ = given.field("response.tag");
  response_last_ = given.field("response.last");
  response_error_ = given.field("response.error");
  response_corrected_ = given.field("response.corrected");
  acknowledge_tag_ = given.field("acknowledge.tag");
  acknowledge_error_ = given.field("acknowledge.error");
  record_valid_ = given.field("record.valid");
  response_data_ = static_cast<uint32_t>(given.number("byte.response.data"));
  word_data_ = static_cast<uint32_t>(given.number("byte.word.data"));
  word_mask_ = static_cast<uint32_t>(given.number("byte.word.mask"));
  row_ = port("phy.row"), column_ = port("phy.column"), write_ = port("phy.write"), read_ = port("phy.read");
  write_mask_ = port("phy.write_mask"), write_valid_ = port("phy.write_valid"), read_valid_ = port("phy.read_valid");
  cke_ = port("phy.cke"), reset_n_ = port("phy.reset_n"), init_start_ = port("phy.init_start");
  temperature_ = port("phy.temperature"), catastrophic_ = port("phy.catastrophic");
  address_error_ = port("phy.address_error"), init_complete_ = port("phy.init_complete");
  update_request_ = port("phy.update_request"), update_acknowledge_ = port("phy.update_acknowledge");
  for (const char* name : {"counters.0", "counters.1", "power"}) {
    if (has(name)) counters_.push_back(port(name));
  }
  for (const char* name : {"running", "overheated", "lost.0", "lost.1", "stray.0", "stray.1", "hammer_overflow.0",
                           "hammer_overflow.1", "parity_failed.0", "parity_failed.1"}) {
    if (has(name)) flags_.push_back(port(name));
  }
  for (const char* name : {"errors.0", "errors.1"}) {
    if (has(name)) records_.push_back(port(name));
  }

  if (has("settings")) {
    const std::vector<uint64_t> settings = given.numbers("settings");
    const Pin pin = port("settings");
    for (size_t i = 0; i < pin.bytes && i < settings.size(); ++i) pin.at[i] = static_cast<uint8_t>(settings[i]);
  }
  for (const std::string& text : given.all("pin")) {
    std::istringstream words(text);
    std::string name;
    uint64_t value = 0;
    words >> name >> value;
    port(name).set(value);
  }
  device_.set_background([this](int pc, int bank, uint32_t row, int column, Word& word) {
    background_(pc, bank, row, column, word);
  });
  const auto seed = static_cast<uint64_t>(given.number("seed"));
  for (const std::string& text : given.all("pattern")) {
    const size_t index = ports_.size();
    Port each;
    each.requests = stream("requests", index), each.words = stream("words", index);
    each.responses = stream("responses", index), each.acknowledges = stream("acknowledges", index);
    each.traffic = std::make_unique<Traffic>(Pattern(text), golden_, seed * 64 + index);
    ports_.push_back(std::move(each));
  }
  if (Control::stands_before(model_.ports)) control_.emplace(model_.ports, seed * 64 + ports_.size());
  setup_ = script(given.all("setup")), last_ = script(given.all("last"));
  golden_.fill(given.number("fill"));
  for (const std::string& text : given.all("event")) {
    std::istringstream words(text);
    Event event;
    words >> event.clock >> event.name;
    if (event.name == "access") {
      std::getline(words >> std::ws, event.text);
    }
    for (int64_t value; words >> value;) event.values.push_back(value);
    events_.push_back(event);
  }
  checker_.restart(false);
  waves_ = !given.all("waves").empty();
  if (waves_) model_.open_waves(given.text("waves"));
}

void Bench::offer(Port& port, bool more) {
  Traffic& traffic = *port.traffic;
  traffic.begin(clock_, more);
  port.requests.valid.set(traffic.request_valid());
  if (traffic.request_valid()) {
    const Request& request = traffic.request();
    request_write_.set(port.requests.payload.at, request.write);
    request_address_.set(port.requests.payload.at, request.address);
    request_last_.set(port.requests.payload.at, request.accesses - 1);
    request_tag_.set(port.requests.payload.at, request.tag);
  }
  port.words.valid.set(traffic.word_valid());
  if (traffic.word_valid()) {
    std::memcpy(port.words.payload.at + word_data_, traffic.word().data, sizeof(WriteWord::data));
    std::memcpy(port.words.payload.at + word_mask_, &traffic.word().mask, sizeof(WriteWord::mask));
  }
  port.responses.ready.set(traffic.response_ready());
  port.acknowledges.ready.set(traffic.acknowledge_ready());
}

// The handshakes of this clock; whether there was one.
bool Bench::take(Port& port) {
  Traffic& traffic = *port.traffic;
  bool moved = false;
  auto goes = [&](const StreamPins& pins) {
    const bool yes = pins.valid.number() && pins.ready.number();
    moved |= yes;
    return yes;
  };
  const Pin& payload = port.responses.payload;
  if (port.response_waits &&
      (!port.responses.valid.number() || std::memcmp(port.waiting.data(), payload.at, payload.bytes) != 0)) {
    complain("a response changed while it waited");
  }
  port.response_waits = port.responses.valid.number() && !port.responses.ready.number();
  if (port.response_waits) port.waiting.assign(payload.at, payload.at + payload.bytes);

  // Acknowledges and responses first: what is accepted in this clock comes after them.
  if (goes(port.acknowledges)) {
    const uint8_t* at = port.acknowledges.payload.at;
    traffic.acknowledged(static_cast<uint32_t>(acknowledge_tag_.get(at)), acknowledge_error_.get(at));
  }
  if (goes(port.responses)) {
    traffic.response(static_cast<uint32_t>(response_tag_.get(payload.at)), response_last_.get(payload.at),
                     response_error_.get(payload.at), response_corrected_.get(payload.at),
                     payload.at + response_data_);
  }
  if (goes(port.words)) traffic.word_taken();
  if (goes(port.requests)) traffic.request_taken();
  return moved;
}

// The digest sees all outputs of this clock but the bus, which `memory_clock` decodes.
void Bench::look() {
  for (const Port& each : ports_) {
    digest_.stream_in(each.requests.ready);
    digest_.stream_in(each.words.ready);
    digest_.stream_out(each.responses.valid, each.responses.payload);
    digest_.stream_out(each.acknowledges.valid, each.acknowledges.payload);
  }
  for (const Pin& pin : counters_) digest_.counters(pin);
  for (const Pin& pin : flags_) digest_.flag(pin);
  for (const Pin& pin : records_) digest_.record(pin, record_valid_.get(pin.at));
}

// The device and the checker see this clock's commands.
void Bench::memory_clock() {
  Drive drive;
  drive.reset_n = static_cast<int32_t>(reset_n_.number());
  drive.cke = static_cast<int32_t>(cke_.number());
  drive.init_start = static_cast<int32_t>(init_start_.number());
  bus_.decode(row_.at, column_.at, drive);
  const uint64_t valid = write_valid_.number();
  for (int slot = 0; slot < 2; ++slot) {
    drive.write_valid[slot] = valid >> slot & 1;
    if (drive.write_valid[slot]) {
      std::memcpy(&drive.write[slot], write_.at + slot * sizeof(Word), sizeof(Word));
      drive.write_mask[slot] = static_cast<uint32_t>(write_mask_.number() >> 32 * slot);
    }
    const int column = drive.column[slot].command;
    if (measuring_) {
      reads_[slot] += column == RD || column == RDA;
      writes_[slot] += column == WR || column == WRA;
    }
  }
  if (update_acknowledge_.number()) {
    updates_ += !updating_;
    for (int slot = 0; slot < 2; ++slot) {
      if (drive.row[slot].command != NOP || drive.column[slot].command != NOP) complain("a command on the quiet bus");
    }
    if (device_.any_open()) complain("a bank is open on the quiet bus");
  }
  updating_ = update_acknowledge_.number();
  checker_.pins(drive.reset_n, drive.cke, device_.sense().temperature);
  digest_.bus(clock_, drive, update_acknowledge_.number());
  const int lost = device_.clock(drive);
  for (int slot = 0; slot < 2; ++slot) {
    const ColumnSlot& column = drive.column[slot];
    const RowSlot& row = drive.row[slot];
    lost_[column.command] += lost >> (2 + slot) & 1;
    lost_[row.command] += lost >> slot & 1;
    auto happens = [&](int what, int pc, int bank, int operand = 0) {
      checker_.command(static_cast<Command>(what), pc, bank, operand);
      pairs_.command(static_cast<Command>(what), pc, bank);
    };
    if (!(lost >> slot & 4)) happens(column.command, slot, column.bank, column.operand);
    if (!(lost >> slot & 1)) happens(row.command, row.pc, row.bank);
    if (!(lost >> slot & 1) && row.command == ACT) {
      const std::string hammered = row_watch_.activate(checker_.now(), row.pc, row.bank, row.row);
      if (!hammered.empty()) complain(hammered);
    }
    checker_.advance(1);
  }
}

void Bench::happen(const Event& event) {
  const auto& v = event.values;
  if (event.name == "pause") {  // no new requests for so many clocks
    paused_until_ = clock_ + v.at(0);
  } else if (event.name == "reset") {  // what was written may be lost: start with an empty memory again
    resetting_ = true;
    forget();
    if (control_) {
      control_->reset();
      restart();
    }
  } else if (event.name == "restart") {  // the same, by software
    control_->drop();
    restart();
  } else if (event.name == "access") {
    control_->add({Access(event.text)});
  } else if (event.name == "flip_stored" || event.name == "stick_stored") {  // address, bit; and value
    const Place at = mapping_.place(v.at(0));
    std::vector<int64_t> values{at.pc, at.bank, at.row, at.column};
    values.insert(values.end(), v.begin() + 1, v.end());
    inject(device_, event.name == "flip_stored" ? "flip_bit" : "stick_bit", values);
  } else {
    inject(device_, event.name, v);
    if (event.name == "catastrophic" && v.at(0)) {
      for (Port& each : ports_) each.traffic->overheat();
    }
  }
}

// From its first access on, the set-up holds the channel at rest.
void Bench::restart() {
  resting_ = true;
  set_up_ = control_->done() + (control_->idle() ? 1 : 2);
  control_->add(setup_);
}

// The channel is reset: nothing is answered any more, and memory begins anew.
void Bench::forget() {
  row_watch_.forget();
  pairs_.forget();
  golden_.forget();
  for (Port& each : ports_) {
    each.traffic->forget(), each.response_waits = false;
    if (device_.sense().catastrophic) each.traffic->overheat();
  }
}

// One clock: the model takes all its inputs at the rising edge that begins it, and has then settled.
void Bench::step(bool more) {
  const bool was_resetting = std::exchange(resetting_, false);
  while (next_event_ < events_.size() && events_[next_event_].clock <= clock_) happen(events_[next_event_++]);
  more &= clock_ >= paused_until_;
  rst_.set(resetting_);
  if (control_ && !resetting_) control_->drive();
  for (Port& each : ports_) {
    if (resetting_ || resting_) {
      for (const Pin& pin : {each.requests.valid, each.words.valid, each.responses.ready, each.acknowledges.ready}) {
        pin.set(0);
      }
    } else {
      offer(each, more);
    }
  }
  const Sense& sense = device_.sense();
  const bool in_reset = was_resetting || !reset_n_.number();  // which is asynchronous: no word comes any more
  read_valid_.set(in_reset ? 0 : static_cast<uint64_t>(sense.read_valid[0] | sense.read_valid[1] << 1));
  for (int pc = 0; pc < PCS; ++pc) {
    if (sense.read_valid[pc]) std::memcpy(read_.at + pc * sizeof(Word), &sense.read[pc], sizeof(Word));
  }
  temperature_.set(static_cast<uint64_t>(sense.temperature));
  catastrophic_.set(static_cast<uint64_t>(sense.catastrophic));
  address_error_.set(static_cast<uint64_t>(sense.address_error));
  init_complete_.set(static_cast<uint64_t>(sense.init_complete));
  update_request_.set(static_cast<uint64_t>(sense.update_request));
  clk_.set(1);
  model_.evaluate();
  if (waves_) model_.dump_waves(2 * clock_);
  bool moved = false;
  for (Port& each : ports_) moved |= !resetting_ && !resting_ && take(each);
  if (moved || all_idle()) quiet_since_ = clock_;
  look();
  memory_clock();
  if (control_ && !resetting_) control_->take();
  const bool rests = resting_ && control_->done() >= set_up_;
  if (rests) {
    resting_ = false;
    forget();
  }
  if (resetting_ || rests) device_.erase();
  clk_.set(0);
  model_.evaluate();
  if (waves_) model_.dump_waves(2 * clock_ + 1);
  ++clock_;
}

bool Bench::all_idle() const {
  for (const Port& each : ports_) {
    if (!each.traffic->idle()) return false;
  }
  return true;
}

void Bench::run() {
  for (Port& each : ports_) {
    each.requests.valid.set(0);
    each.words.valid.set(0);
  }
  rst_.set(1);
  for (const int level : {0, 1, 0, 1, 0}) {  // the reset is taken, then obeyed
    clk_.set(level);
    model_.evaluate();
  }
  rst_.set(0);
  if (control_) restart();
  const Pin running = port(control_ ? "ready" : "running");
  const uint64_t limit = 1'000'000;
  while ((resting_ || !running.number() || (control_ && !control_->idle())) && clock_ < limit) step(false);
  start_ = clock_;
  if (!running.number()) complain("the channel does not come up");
  const uint64_t start = clock_, end = start + warmup_ + length_;
  for (Event& event : events_) event.clock += start;
  quiet_since_ = clock_;
  auto go_on = [&] {
    if (checker_.violations() > most_violations_) gave_up_ = true;
    if (control_ && !control_->complaints().empty()) gave_up_ = true;
    if (clock_ - quiet_since_ > PATIENCE) {
      complain("nothing moves although requests wait");
      gave_up_ = true;
    }
    return !gave_up_;
  };
  while (complaints_.empty() && clock_ < end && go_on()) {
    if (clock_ == start + warmup_) {
      measuring_ = true;
      before_ = counters();
      for (Port& each : ports_) each.traffic->measure(true);
    }
    step(true);
  }
  measuring_ = false;
  after_ = counters();
  for (Port& each : ports_) each.traffic->measure(false);
  const uint64_t last = clock_ + drain_;
  while (!all_idle() && clock_ < last && go_on()) step(false);
  if (!all_idle() && !gave_up_) complain("requests are left over");
  for (int i = 0; i < 100; ++i) step(false);
  if (control_) {
    control_->add(last_);
    while (!control_->idle() && clock_ < last && go_on()) step(false);
    if (!control_->idle()) complain("software is not done");
  }
  if (flags("hammer_overflow")) complain("too few hammer_entries for the settings");
  if (waves_) model_.close_waves();
}

// How many of the pseudo-channels have set a flag, where it is to be seen from outside.
uint64_t Bench::flags(const std::string& name) const {
  uint64_t count = 0;
  for (int pc = 0; pc < PCS; ++pc) {
    const std::string path = name + "." + std::to_string(pc);
    count += has(path) && port(path).number();
  }
  return count;
}

Bench::Words Bench::counters() const {
  Words bytes;
  if (control_) return bytes;
  for (int pc = 0; pc < PCS; ++pc) {
    const Pin pin = port("counters." + std::to_string(pc));
    bytes.insert(bytes.end(), pin.at, pin.at + pin.bytes);
  }
  return bytes;
}

// Words in memory whose check bits are not those of their data.
uint64_t Bench::unclean() const {
  return device_.count_stored([this](const Word& word) {
    Word right = word;
    background_.encode(right);
    return std::memcmp(right.check, word.check, sizeof(right.check)) != 0;
  });
}

void Bench::complain(const std::string& text) {
  complaints_.push_back("clock " + std::to_string(clock_) + ": " + text);
}

template <class Items>
std::string listed(const Items& items) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + std::to_string(item);
  return "[" + text + "]";
}

std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "\"" : ", \"") + item + "\"";
  return "[" + text + "]";
}

void Bench::write(const std::string& path, double seconds) const {
  std::ofstream out(path);
  std::vector<std::string> violations, complaints = complaints_;
  for (const Violation& violation : checker_.first()) violations.push_back(checker_.describe(violation));
  uint64_t beats = 0, words = 0, done = 0, errors = 0, refused = 0, turned_away = 0, corrected = 0;
  uint64_t wrong = complaints_.size();
  std::map<size_t, uint64_t> latencies;
  for (const Port& each : ports_) {
    const Traffic& traffic = *each.traffic;
    beats += traffic.beats_read, words += traffic.words_written, done += traffic.reads_done;
    refused += traffic.refused, turned_away += traffic.turned_away;
    corrected += traffic.corrected_beats;
    errors += traffic.error_beats, wrong += traffic.wrong;
    complaints.insert(complaints.end(), traffic.complaints.begin(), traffic.complaints.end());
    for (size_t clocks = 0; clocks < traffic.latencies.size(); ++clocks) {
      if (traffic.latencies[clocks]) latencies[clocks] += traffic.latencies[clocks];
    }
  }
  std::string histogram, rules, limits, commands;
  for (const auto& [clocks, count] : latencies) {
    histogram += (histogram.empty() ? "[" : ", [") + std::to_string(clocks) + ", " + std::to_string(count) + "]";
  }
  for (size_t rule = 0; rule < checker_.rules(); ++rule) {
    const uint64_t count = checker_.count(static_cast<int>(rule));
    const std::string name = checker_.rule_name(static_cast<int>(rule));
    const uint64_t limit = checker_.at_limit(static_cast<int>(rule));
    if (limit) limits += (limits.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(limit);
    if (count) rules += (rules.empty() ? "\"" : ", \"") + name + "\": " + std::to_string(count);
  }
  for (int what = 1; what < COMMANDS; ++what) {
    commands += (commands.empty() ? "\"" : ", \"") + std::string(command_names[what]) +
                "\": " + std::to_string(checker_.commands(static_cast<Command>(what)));
  }
  Words power;
  if (has("power")) power.assign(port("power").at, port("power").at + port("power").bytes);
  std::string lost_commands;
  for (int what = 1; what < COMMANDS; ++what) {
    if (!lost_[what]) continue;
    lost_commands += (lost_commands.empty() ? "\"" : ", \"") + std::string(command_names[what]) + "\": " +
                     std::to_string(lost_[what]);
  }
  std::string digests;
  for (const auto& [part, value] : digest_.values()) {
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(value));
    digests += (digests.empty() ? "\"" : ", \"") + part + "\": \"" + hex + "\"";
  }
  std::string pairs;
  for (int relation = 0; relation < CommandPairs::RELATIONS; ++relation) {
    for (int earlier = 1; earlier < COMMANDS; ++earlier) {
      for (int later = 1; later < COMMANDS; ++later) {
        const uint64_t count = pairs_.count(static_cast<CommandPairs::Relation>(relation),
                                            static_cast<Command>(earlier), static_cast<Command>(later));
        if (!count) continue;
        pairs += (pairs.empty() ? "\"" : ", \"") + std::string(command_names[earlier]) + ", " + command_names[later] +
                 ", " + CommandPairs::names[relation] + "\": " + std::to_string(count);
      }
    }
  }
  std::string kept;
  if (control_) {
    for (const auto& [offset, value] : control_->kept()) {
      kept += (kept.empty() ? "[" : ", [") + std::to_string(offset) + ", " + std::to_string(value) + "]";
    }
    wrong += control_->complaints().size();
    complaints.insert(complaints.end(), control_->complaints().begin(), control_->complaints().end());
  }
  uint64_t answered = 0;
  for (const Port& each : ports_) answered += each.traffic->reads_answered;
  out << "{\"parity_failed\": " << (flags("parity_failed") ? "true" : "false")
      << ", \"lost_commands\": {" << lost_commands << "}, \"digests\": {" << digests
      << "}, \"clocks\": " << length_ << ", \"simulated\": " << clock_ << ", \"seconds\": " << seconds
      << ", \"beats_read\": " << beats << ", \"words_written\": " << words << ", \"reads_done\": " << done
      << ", \"updates\": " << updates_ << ", \"refused\": " << refused << ", \"turned_away\": " << turned_away
      << ", \"error_beats\": " << errors << ", \"corrected_beats\": " << corrected << ", \"pairs\": {" << pairs << "}"
      << ", \"bus_reads\": " << listed(Words(reads_, reads_ + PCS))
      << ", \"bus_writes\": " << listed(Words(writes_, writes_ + PCS)) << ",\n\"latencies\": [" << histogram
      << "],\n\"violations\": " << checker_.violations() << ", \"rules\": {" << rules
      << "}, \"at_limit\": {" << limits << "}, \"first_violations\": " << listed(violations)
      << ",\n\"most_neighbour_acts\": " << row_watch_.most() << ", \"problems\": " << device_.problems()
      << ", \"first_problems\": " << listed(device_.first_problems()) << ",\n\"wrong\": " << wrong
      << ", \"complaints\": " << listed(complaints) << ", \"lost_or_stray\": "
      << flags("lost") + flags("stray")
      << ",\n\"commands\": {" << commands
      << "}, \"power\": " << listed(power)
      << ", \"unclean\": " << unclean() << ", \"registers\": [" << kept << "], \"accesses\": "
      << (control_ ? control_->done() : 0) << ", \"accesses_refused\": " << (control_ ? control_->refused() : 0)
      << ", \"started_after\": " << start_ << ", \"reads_answered\": " << answered
      << ", \"owed\": [" << checker_.owed(0) << ", " << checker_.owed(1) << "], \"pages\": " << device_.pages()
      << ",\n\"counters_before\": " << listed(before_) << ",\n\"counters_after\": " << listed(after_) << "}\n";
}

}  // namespace

extern "C" int bench_main(const Factory& factory, int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "the bench needs its two arguments: PARAMETERS RESULT\n");
    return 2;
  }
  const auto bench = std::make_unique<Bench>(factory, Parameters(argv[1]));
  const std::clock_t began = std::clock();
  bench->run();
  bench->write(argv[2], double(std::clock() - began) / CLOCKS_PER_SEC);
  return 0;
} catch (const std::exception& problem) {
  std::fprintf(stderr, "%s\n", problem.what());
  return 1;
}
