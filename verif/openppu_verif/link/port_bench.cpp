// Two ports, a channel each way between them, packets through both: what arrives is checked, and counted.
//
// usage (by model_main.cpp): bench_main PARAMETERS RESULT
//
// With `clocks recovered`, each port has its own clock (parts per million off), and takes in what it receives in the
// clock of the other one, some part of a period later, with jitter; or in one that is faster by `rx_rate_percent`, and
// has no word now and then. Each lane pauses for itself, by `gap_words` words at most in all.
//
// With `record 1`, the words that each port sends and receives are kept, clock by clock.
//
// With `tunnel 1`, what one port sends into its tunnel comes out of the other one's, later, with pauses.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench_io.h"
#include "channel.h"
#include "model.h"
#include "packets.h"

namespace link {

namespace {

constexpr const char* NAMES[] = {"a", "b"};
constexpr size_t TUNNEL_WORDS = 256;
constexpr uint64_t TUNNEL_CLOCKS = 100;

int side_of(const std::string& name) {
  if (name != "a" && name != "b") throw std::runtime_error("a port is a or b, not " + name);
  return name == "b";
}

// Words of packets from one port's tunnel to the other's.
struct Tunnel {
  native::Pin valid, ready, payload, out_valid, out_payload;
  std::deque<std::pair<uint64_t, std::vector<uint8_t>>> words;  // and when they may come out
  bool offered = false, ready_now = false;
  bool within_in = false, within_out = false;  // a packet that has begun
};

// A Verilated port.
struct Side {
  explicit Side(const native::Factory& factory, const std::string& waves)
      : model(factory()), clk(model.port("clk")), rst(model.port("rst")), send(model.port("serdes.send")),
        send_idle(model.port("serdes.send_idle")), receive(model.port("serdes.receive")),
        receive_valid(model.port("serdes.receive_valid")), signal(model.port("serdes.signal")),
        status(model.port("status")) {
    if (model.ports.count("rx_clk")) rx_clk = model.port("rx_clk"), rx_rst = model.port("rx_rst");
    if (!waves.empty()) model.open_waves(waves);
  }

  void tick(const native::Pin& clock) {
    clock.set(1);
    model.evaluate();
    model.dump_waves(++time);
    clock.set(0);
    model.evaluate();
    model.dump_waves(++time);
  }

  native::Model model;
  native::Pin clk, rst, send, send_idle, receive, receive_valid, signal, status;
  native::Pin rx_clk{}, rx_rst{};
  uint64_t time = 0;
  uint64_t reset_until = 64;
  double period = 1, next = 0, next_receive = 0;
};

struct Event {
  uint64_t clock;
  std::string name;
  std::vector<std::string> words;
};

class Bench {
 public:
  Bench(const native::Factory& factory, const native::Parameters& parameters)
      : parameters_(parameters), layout_(parameters), recovered_(parameters.text("clocks") == "recovered"),
        random_(static_cast<uint64_t>(parameters.number("seed"))), resets_(parameters.field("status.resets")),
        gone_(parameters.field("status.gone")), gap_(static_cast<uint32_t>(parameters.number("gap_share"))),
        gap_words_(static_cast<size_t>(parameters.number("gap_words"))), record_(parameters.number("record")), lane_bytes_(static_cast<size_t>(parameters.number("lane_bits")) / 8) {
    const auto seed = static_cast<uint64_t>(parameters.number("seed"));
    const auto lane_bits = static_cast<int>(parameters.number("lane_bits"));
    for (int from = 0; from < 2; ++from) {
      const auto& waves = parameters.all(std::string("waves.") + NAMES[from]);
      sides_.push_back(std::make_unique<Side>(factory, waves.empty() ? "" : waves.front()));
      std::vector<LaneSettings> lanes;
      for (const std::string& line : parameters.all(std::string("lane.") + NAMES[from])) {
        std::istringstream words(line);
        LaneSettings lane;
        words >> lane.delay >> lane.arrives_as >> lane.inverted;
        lanes.push_back(lane);
      }
      channels_.emplace_back(lane_bits, lanes, seed * 2 + static_cast<uint64_t>(from));
      waiting_.emplace_back(lanes.size());
    }
    if (parameters.number("tunnel"))
      for (int from = 0; from < 2; ++from) {
        const native::Model &a = sides_[from]->model, &b = sides_[1 - from]->model;
        Tunnel tunnel;
        tunnel.valid = a.port("tunnel_send.valid"), tunnel.ready = a.port("tunnel_send.ready");
        tunnel.payload = a.port("tunnel_send.payload");
        tunnel.out_valid = b.port("tunnel_receive.valid"), tunnel.out_payload = b.port("tunnel_receive.payload");
        tunnels_.push_back(tunnel);
      }
    for (int from = 0; from < 2; ++from) {
      const auto& lines = parameters.all(std::string("traffic.") + NAMES[from]);
      for (size_t channel = 0; channel < lines.size(); ++channel) {
        std::istringstream words(lines[channel]);
        Traffic traffic;
        words >> traffic.least >> traffic.most >> traffic.operations >> traffic.pause >> traffic.stall >>
            traffic.hold >> traffic.packets;
        const std::string in = "send." + std::to_string(channel);
        const std::string out = "receive." + std::to_string(channel);
        const native::Model &a = sides_[from]->model, &b = sides_[1 - from]->model;
        flows_.push_back({from, std::make_unique<Flow>(
                                    std::string("from ") + NAMES[from] + ", channel " + std::to_string(channel),
                                    layout_, traffic, native::scramble(seed + 1) + flows_.size(),
                                    a.port(in + ".valid"), a.port(in + ".ready"), a.port(in + ".payload"),
                                    b.port(out + ".valid"), b.port(out + ".ready"), b.port(out + ".payload"))});
      }
    }
    for (const std::string& line : parameters.all("file")) {  // flow, path
      std::istringstream words(line);
      size_t flow;
      std::string name;
      words >> flow >> std::ws;
      std::getline(words, name);
      std::ifstream file(name, std::ios::binary);
      if (!file) throw std::runtime_error("cannot read " + name);
      flows_.at(flow).second->carry({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
    }
    for (const std::string& line : parameters.all("event")) {
      std::istringstream words(line);
      Event event;
      words >> event.clock >> event.name;
      for (std::string word; words >> word;) event.words.push_back(word);
      events_.push_back(event);
    }
    for (const std::string& name : parameters.all("note")) noted_fields_.emplace_back(name, parameters.field(name));
    for (const std::string& line : parameters.all("pin")) {  // side, name, bytes
      std::istringstream words(line);
      std::string side, name;
      words >> side >> name;
      const native::Pin pin = sides_[side_of(side)]->model.port(name);
      size_t at = 0;
      for (int byte; words >> byte && at < pin.bytes;) pin.at[at++] = static_cast<uint8_t>(byte);
    }
    if (recovered_) {
      for (int side = 0; side < 2; ++side) {
        Side& each = *sides_[side];
        each.period = 1.0 / (1.0 + parameters.number(std::string("ppm.") + NAMES[side]) * 1e-6);
        each.next = 0.37 * side;
      }
      rx_rate_ = static_cast<double>(parameters.number("rx_rate_percent")) / 100;
      for (int side = 0; side < 2; ++side)
        sides_[1 - side]->next_receive = sides_[side]->next + 0.25 * sides_[side]->period;
      jitter_ = static_cast<double>(parameters.number("jitter_percent")) / 100;
    }
  }

  void run() {
    const auto warmup = static_cast<uint64_t>(parameters_.number("warmup"));
    const auto clocks = static_cast<uint64_t>(parameters_.number("window"));
    const auto drain = static_cast<uint64_t>(parameters_.number("drain"));
    while (now_ < warmup) clock(true);
    const auto before = totals();
    const auto flips = wrong_bits();
    while (now_ < warmup + clocks && !failed()) clock(true);
    window_ = totals();
    for (size_t i = 0; i < window_.size(); ++i) window_[i] -= before[i];
    window_flips_ = wrong_bits() - flips;
    while (now_ < warmup + clocks + drain && !failed() && !empty()) clock(false);
  }

  void write(const std::string& path, double seconds) const {
    std::ofstream file(path);
    file << "{\"clocks\": " << parameters_.number("window") << ", \"simulated\": " << now_
         << ", \"seconds\": " << seconds << ", \"left\": " << !empty() << ", \"wrong_bits\": " << wrong_bits()
         << ", \"lost_words\": " << channels_[0].lost_words() + channels_[1].lost_words()
         << ", \"window_wrong_bits\": " << window_flips_ << ", \"flows\": [";
    for (size_t i = 0; i < flows_.size(); ++i) {
      const Flow& flow = *flows_[i].second;
      file << (i ? ", " : "") << "{\"packets_in\": " << flow.packets_in << ", \"packets_out\": " << flow.packets_out
           << ", \"lost\": " << flow.lost << ", \"wrong\": " << flow.wrong
           << ", \"operations\": " << flow.operations_out << ", \"longest_gap\": " << flow.longest_gap << ", \"window_bytes\": " << window_[2 * i] << ", \"window_data\": " << window_[2 * i + 1]
           << ", \"latencies\": [";
      const char* comma = "";
      for (const auto& [clocks, count] : flow.latencies) {
        file << comma << "[" << clocks << ", " << count << "]";
        comma = ", ";
      }
      file << "], \"problems\": [";
      for (size_t n = 0; n < flow.problems.size(); ++n)
        file << (n ? ", " : "") << "\"" << flow.problems[n] << "\"";
      file << "]}";
    }
    file << "], \"notes\": [";
    for (size_t i = 0; i < notes_.size(); ++i) file << (i ? ", " : "") << notes_[i];
    file << "], \"pins\": {";
    const char* comma = "";
    for (const std::string& name : parameters_.all("watch"))
      for (int side = 0; side < 2; ++side) {
        const native::Pin pin = sides_[side]->model.port(name);
        file << comma << "\"" << NAMES[side] << "." << name << "\": [";
        for (size_t i = 0; i < pin.bytes; ++i) file << (i ? ", " : "") << int{pin.at[i]};
        file << "]";
        comma = ", ";
      }
    file << "}}\n";
    if (!file) throw std::runtime_error("cannot write " + path);
  }

  // What arrived of the files, beside the result: `<path>.<flow>`.
  void write_files(const std::string& path) const {
    for (size_t i = 0; i < flows_.size(); ++i) {
      const auto& bytes = flows_[i].second->arrived();
      if (bytes.empty()) continue;
      std::ofstream file(path + "." + std::to_string(i), std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
  }

  // What was recorded, beside the result: `<path>.<side>.sent` and `.received`.
  void write_record(const std::string& path) const {
    for (size_t side = 0; side < 2 && record_; ++side)
      for (size_t way = 0; way < 2; ++way) {
        std::ofstream file(path + "." + NAMES[side] + (way ? ".received" : ".sent"), std::ios::binary);
        file.write(recorded_[side][way].data(), static_cast<std::streamsize>(recorded_[side][way].size()));
      }
  }

  void close() {
    for (const auto& side : sides_) side->model.close_waves();
  }

 private:
  // A clock of port a; of b as many as come by then.
  void clock(bool more) {
    while (next_event_ < events_.size() && events_[next_event_].clock <= now_) happen(events_[next_event_++]);
    more = more && now_ >= paused_until_;
    if (!recovered_) {
      for (int side = 0; side < 2; ++side) drive(side, more);
      for (int side = 0; side < 2; ++side) arrive(1 - side), take_in(side);
      for (int side = 0; side < 2; ++side) sides_[side]->tick(sides_[side]->clk);
      for (int side = 0; side < 2; ++side) sample(side);
    } else {
      for (bool done = false; !done;) done = next_edge(more);
    }
    ++now_;
    watch();
  }

  // The next edge of the four clocks; true after one of port a.
  bool next_edge(bool more) {
    int side = 0;
    bool receives = false;
    double best = 1e300;
    for (int each = 0; each < 2; ++each) {
      if (sides_[each]->next < best) best = sides_[each]->next, side = each, receives = false;
      if (sides_[each]->next_receive < best) best = sides_[each]->next_receive, side = each, receives = true;
    }
    Side& it = *sides_[side];
    if (receives) {
      take_in(side);
      it.rx_rst.set(it.reset_until > now_);
      it.tick(it.rx_clk);
      rx_ticks_[side] += 1;
      const double period = sides_[1 - side]->period / rx_rate_;
      const double at = period * static_cast<double>(rx_ticks_[side]) + (side ? 0 : 0.37) +
                        (0.25 + 0.5 * jitter_ * static_cast<double>(random_.below(1024)) / 1024) * period;
      it.next_receive = at;
      return false;
    }
    drive(side, more);
    it.tick(it.clk);
    sample(side);
    arrive(side);
    ticks_[side] += 1;
    it.next = it.period * static_cast<double>(ticks_[side]) + 0.37 * side;
    return side == 0;
  }

  void drive(int side, bool more) {
    Side& it = *sides_[side];
    const bool reset = it.reset_until > now_;
    it.rst.set(reset);
    for (auto& [from, flow] : flows_) {
      if (from == side) flow->drive_in(more && !reset);
      if (from != side) flow->drive_out();
    }
    drive_tunnels(side);
    if (reset)
      for (Tunnel& tunnel : tunnels_) {
        if (&tunnel == &tunnels_[static_cast<size_t>(side)]) tunnel.ready.set(tunnel.ready_now = false);
        else tunnel.out_valid.set(tunnel.offered = false);
      }
  }

  // What a side has sent comes to the other one, lane for lane.
  void arrive(int from) {
    auto& lanes = waiting_[static_cast<size_t>(from)];
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      const uint8_t* word = channels_[static_cast<size_t>(from)].received() + lane * lane_bytes_;
      lanes[lane].emplace_back(word, word + lane_bytes_);
    }
  }

  // A clock of the receiving side: a word of each lane that has one, and does not pause.
  void take_in(int side) {
    const Side& it = *sides_[side];
    auto& lanes = waiting_[static_cast<size_t>(1 - side)];
    uint64_t valid = 0;
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
      auto& words = lanes[lane];
      if (words.empty() || (words.size() <= gap_words_ && random_.chance(gap_))) continue;
      std::memcpy(it.receive.at + lane * lane_bytes_, words.front().data(), lane_bytes_);
      words.pop_front();
      valid |= uint64_t{1} << lane;
    }
    it.receive_valid.set(valid);
    if (record_) recorded_[side][1].append(reinterpret_cast<const char*>(it.receive.at), lanes.size() * lane_bytes_);
    it.signal.set(channels_[static_cast<size_t>(1 - side)].signal());
  }

  void drive_tunnels(int side) {
    for (int from = 0; from < static_cast<int>(tunnels_.size()); ++from) {
      Tunnel& tunnel = tunnels_[static_cast<size_t>(from)];
      if (from == side) {
        tunnel.ready_now = tunnel.words.size() < TUNNEL_WORDS && random_.below(8) != 0;
        tunnel.ready.set(tunnel.ready_now);
      } else {
        tunnel.offered = !tunnel.words.empty() && tunnel.words.front().first <= now_ && random_.below(8) != 0;
        tunnel.out_valid.set(tunnel.offered);
        if (tunnel.offered) std::memcpy(tunnel.out_payload.at, tunnel.words.front().second.data(), tunnel.out_payload.bytes);
      }
    }
  }

  // Those that arrive never wait.
  void sample_tunnels(int side) {
    for (int from = 0; from < static_cast<int>(tunnels_.size()); ++from) {
      Tunnel& tunnel = tunnels_[static_cast<size_t>(from)];
      if (from == side && tunnel.ready_now && tunnel.valid.number()) {
        std::vector<uint8_t> word(tunnel.payload.at, tunnel.payload.at + tunnel.payload.bytes);
        word.resize(word.size() + 8);
        if ((layout_.first.get(word.data()) != 0) == tunnel.within_in) throw std::runtime_error("a tunnel's packet is in pieces");
        tunnel.within_in = !layout_.last.get(word.data());
        tunnel.words.emplace_back(now_ + TUNNEL_CLOCKS, std::move(word));
      } else if (from != side && tunnel.offered) {
        tunnel.within_out = !layout_.last.get(tunnel.words.front().second.data());
        tunnel.words.pop_front();
      }
    }
  }

  // The way to the other port lives on: it cuts off a packet whose rest does not come, and drops one that has begun.
  void reset_tunnels(int side) {
    for (int from = 0; from < static_cast<int>(tunnels_.size()); ++from) {
      Tunnel& tunnel = tunnels_[static_cast<size_t>(from)];
      if (from == side && tunnel.within_in) {
        std::vector<uint8_t> word(tunnel.payload.bytes + 8, 0);
        layout_.cut.set(word.data(), 1), layout_.last.set(word.data(), 1);
        tunnel.words.emplace_back(now_ + TUNNEL_CLOCKS, std::move(word));
        tunnel.within_in = false;
      } else if (from != side) {
        while (tunnel.within_out && !tunnel.words.empty()) {
          tunnel.within_out = !layout_.last.get(tunnel.words.front().second.data());
          tunnel.words.pop_front();
        }
        tunnel.out_valid.set(0), tunnel.offered = false;
      }
    }
  }

  void sample(int side) {
    const Side& it = *sides_[side];
    if (it.reset_until <= now_) {
      for (auto& [from, flow] : flows_) {
        if (from == side) flow->sample_in(now_);
        if (from != side) flow->sample_out(now_);
      }
      sample_tunnels(side);
    }
    if (record_) recorded_[side][0].append(reinterpret_cast<const char*>(it.send.at), waiting_[0].size() * lane_bytes_);
    channels_[side].step(it.send.at, it.send_idle.number());
  }

  void happen(const Event& event) {
    const auto word = [&](size_t place) { return event.words.at(place); };
    const auto number = [&](size_t place) { return std::stoll(event.words.at(place)); };
    if (event.name == "faults") {
      channels_[side_of(word(0))].set(Faults{std::stod(word(1)), std::stod(word(2)), static_cast<int>(number(3)),
                                             std::stod(word(4)), std::stod(word(5)), std::stod(word(6))});
    } else if (event.name == "life") {
      channels_[side_of(word(0))].lane(static_cast<size_t>(number(1))).set(static_cast<Life>(number(2)));
    } else if (event.name == "reset") {
      const int side = side_of(word(0));
      sides_[side]->reset_until = now_ + static_cast<uint64_t>(number(1));
      for (auto& [from, flow] : flows_) from == side ? flow->sender_reset() : flow->receiver_reset();
      reset_tunnels(side);
    } else if (event.name == "pin") {
      sides_[side_of(word(0))]->model.port(word(1)).set(static_cast<uint64_t>(number(2)));
    } else if (event.name == "pause") {
      paused_until_ = now_ + static_cast<uint64_t>(number(0));
    } else {
      throw std::runtime_error("event " + event.name + ": unknown");
    }
  }

  // A port's link layer that was reset has lost what was on its way, both ways, and one that has given up loses all.
  // Notes when fields of the status change.
  void watch() {
    for (int side = 0; side < 2; ++side) {
      const uint64_t resets = resets_.get(sides_[side]->status.at);
      if (resets != seen_resets_[side] || gone_.get(sides_[side]->status.at))
        for (auto& [from, flow] : flows_) flow->link_reset();
      seen_resets_[side] = resets;
    }
    for (const auto& [name, field] : noted_fields_)
      for (int side = 0; side < 2; ++side) {
        const std::string key = std::string(NAMES[side]) + "." + name;
        const uint64_t value = field.get(sides_[side]->status.at);
        const auto found = noted_.find(key);
        if (found != noted_.end() && found->second == value) continue;
        noted_[key] = value;
        if (notes_.size() < 10000)
          notes_.push_back("[" + std::to_string(now_) + ", \"" + key + "\", " + std::to_string(value) + "]");
      }
  }

  std::vector<uint64_t> totals() const {
    std::vector<uint64_t> all;
    for (const auto& [from, flow] : flows_) {
      all.push_back(flow->bytes_out);
      all.push_back(flow->data_out);
    }
    return all;
  }

  bool failed() const {
    return std::any_of(flows_.begin(), flows_.end(), [](const auto& each) { return each.second->wrong > 0; });
  }

  bool empty() const {
    return std::all_of(flows_.begin(), flows_.end(), [](const auto& each) { return each.second->empty(); });
  }

  uint64_t wrong_bits() const { return channels_[0].wrong_bits() + channels_[1].wrong_bits(); }

  const native::Parameters& parameters_;
  WordLayout layout_;
  bool recovered_;
  native::Random random_;
  native::Field resets_, gone_;
  uint32_t gap_;
  size_t gap_words_;
  bool record_;
  size_t lane_bytes_;
  std::string recorded_[2][2];  // by side: sent, received
  uint64_t seen_resets_[2] = {0, 0};
  std::vector<std::unique_ptr<Side>> sides_;
  std::vector<Channel> channels_;  // from a, from b
  std::vector<std::vector<std::deque<std::vector<uint8_t>>>> waiting_;  // from a, from b: by lane
  std::vector<Tunnel> tunnels_;                                         // from a, from b
  std::vector<std::pair<int, std::unique_ptr<Flow>>> flows_;
  std::vector<Event> events_;
  size_t next_event_ = 0;
  uint64_t now_ = 0, paused_until_ = 0, window_flips_ = 0;
  uint64_t ticks_[2] = {0, 0}, rx_ticks_[2] = {0, 0};
  double jitter_ = 0, rx_rate_ = 1;
  std::vector<uint64_t> window_;
  std::vector<std::pair<std::string, native::Field>> noted_fields_;  // of `status`
  std::map<std::string, uint64_t> noted_;
  std::vector<std::string> notes_;
};

}  // namespace

}  // namespace link

extern "C" int bench_main(const native::Factory& factory, int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: simulator LIBRARY PARAMETERS RESULT");
  const native::Parameters parameters(argv[1]);
  link::Bench bench(factory, parameters);
  const auto start = std::clock();
  bench.run();
  bench.write(argv[2], static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  bench.write_files(argv[2]);
  bench.write_record(argv[2]);
  bench.close();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
