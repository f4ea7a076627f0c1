#include "traffic.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hbm {

namespace {

constexpr size_t MOST_COMPLAINTS = 16;
constexpr size_t LONGEST_LATENCY = 1 << 16;

}  // namespace

Pattern::Pattern(const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("pattern: " + word + ": expected key=value");
    const std::string key = word.substr(0, equals);
    const uint64_t value = std::stoull(word.substr(equals + 1));
    const auto small = static_cast<uint32_t>(value);
    if (key == "order") order = static_cast<Order>(value);
    else if (key == "base") base = value;
    else if (key == "size") size = value;
    else if (key == "stride") stride = value;
    else if (key == "least") least = small;
    else if (key == "most") most = small;
    else if (key == "reads") reads = small;
    else if (key == "write_offset") write_offset = value;
    else if (key == "masked") masked = small;
    else if (key == "tags") tags = small;
    else if (key == "outstanding") outstanding = small;
    else if (key == "gap") gap = small;
    else if (key == "stall") stall = small;
    else if (key == "beyond") beyond = small;
    else if (key == "capacity") capacity = value;
    else if (key == "hold") hold = small;
    else if (key == "stripe") stripe = small;
    else if (key == "ports") ports = small;
    else if (key == "index") index = small;
    else throw std::runtime_error("pattern: unknown key " + key);
  }
}

Traffic::Traffic(const Pattern& pattern, Golden& golden, uint64_t seed)
    : pattern_(pattern), golden_(golden), random_(seed), reading_(pattern.tags), writing_(pattern.tags) {
  const bool too_small = pattern.size < uint64_t{pattern.stripe} * pattern.ports;
  if ((too_small && pattern.order != Order::STRIDE) || pattern.most > pattern.stripe) {
    throw std::runtime_error("pattern: its size holds no stripe for each port, or a stripe no request");
  }
  latencies.assign(LONGEST_LATENCY, 0);
}

// The next request. Ports share the memory by stripes: sequential streams take theirs in turn, writes keep to them.
void Traffic::make() {
  next_.write = !random_.chance(pattern_.reads);
  next_.accesses = pattern_.least + static_cast<uint32_t>(random_.below(pattern_.most - pattern_.least + 1));
  next_.tag = static_cast<uint32_t>(serial_++ % pattern_.tags);
  uint64_t offset = 0;
  const uint64_t turn = uint64_t{pattern_.stripe} * pattern_.ports;  // in which each port has one stripe
  const uint64_t stripes = pattern_.size / turn * pattern_.ports;
  switch (pattern_.order) {
    case Order::SEQUENTIAL: {
      const bool apart = next_.write && pattern_.write_offset;
      uint64_t& cursor = cursor_[apart];  // counts accesses of this port's stripes
      const uint64_t room = pattern_.stripe - cursor % pattern_.stripe;
      next_.accesses = static_cast<uint32_t>(std::min<uint64_t>(next_.accesses, room));
      const uint64_t stripe = cursor / pattern_.stripe * pattern_.ports + pattern_.index;
      offset = stripe % stripes * pattern_.stripe + cursor % pattern_.stripe;
      offset += apart ? pattern_.write_offset / turn * turn : 0;
      cursor += next_.accesses;
      break;
    }
    case Order::RANDOM: {
      uint64_t stripe = random_.below(stripes);
      if (next_.write) stripe = stripe - stripe % pattern_.ports + pattern_.index;
      const uint64_t places = pattern_.least == pattern_.most ? pattern_.stripe / pattern_.most : pattern_.stripe;
      const uint64_t step = pattern_.least == pattern_.most ? pattern_.most : 1;
      const uint64_t inside = random_.below(places) * step;
      next_.accesses = static_cast<uint32_t>(std::min<uint64_t>(next_.accesses, pattern_.stripe - inside));
      offset = stripe % stripes * pattern_.stripe + inside;
      break;
    }
    case Order::STRIDE:
      offset = cursor_[0] % pattern_.size;
      cursor_[0] += pattern_.stride;
      break;
  }
  next_.address = pattern_.base + offset;
  next_.refused = next_.accesses > 1 && random_.chance(pattern_.beyond);
  if (next_.refused) next_.address = pattern_.capacity - 1 - random_.below(next_.accesses - 1);
  made_ = true;
}

// The request is offered from now on: a port may want its words, and answer it, before it takes the whole of it.
void Traffic::offer() {
  offering_ = true;
  ++outstanding_;
  if (!next_.write) {
    Reading reading{{}, now_, measuring_, next_.refused};
    for (uint32_t i = 0; i < next_.accesses; ++i) {
      const uint64_t address = next_.address + i;
      reading.beats.push_back(golden_.read(address, own(address)));
    }
    reading_[next_.tag].push_back(std::move(reading));
    return;
  }
  Writing writing{next_.address, next_.refused, {}};
  for (uint32_t i = 0; i < next_.accesses; ++i) {
    WriteWord word;
    word.mask = 0xffffffff;
    if (random_.chance(pattern_.masked)) word.mask = static_cast<uint32_t>(random_.next() >> 16);
    for (int part = 0; part < 4; ++part) {
      const uint64_t value = random_.next();
      std::memcpy(word.data + 8 * part, &value, sizeof(value));
    }
    if (!next_.refused) {
      writing.versions.push_back(golden_.write(next_.address + i, word.data, word.mask, now_));
    }
    words_.push_back(word);
  }
  writing_[next_.tag].push_back(std::move(writing));
}

void Traffic::begin(uint64_t now, bool more) {
  now_ = now;
  if (!made_ && more && now >= free_from_ && outstanding_ < pattern_.outstanding) make();
  if (made_ && !offering_ && !random_.chance(pattern_.stall)) offer();
  if (!words_.empty() && !word_offering_) word_offering_ = !random_.chance(pattern_.stall);
  response_ready_ = !random_.chance(pattern_.hold);
  acknowledge_ready_ = !random_.chance(pattern_.hold);
}

void Traffic::request_taken() {
  offering_ = made_ = false;
  free_from_ = now_ + 1 + pattern_.gap;
}

void Traffic::word_taken() {
  words_.pop_front();
  word_offering_ = false;
  if (measuring_) ++words_written;
}

void Traffic::response(uint32_t tag, bool last, bool error, bool corrected, const uint8_t* data) {
  if (tag >= reading_.size() || reading_[tag].empty()) {
    return complain("a response of tag " + std::to_string(tag) + " that no read waits for");
  }
  Reading& reading = reading_[tag].front();
  const Seen seen = reading.beats.front();
  reading.beats.pop_front();
  // Any other error is of a word that was lost or wrong.
  const bool may_be_refused = too_hot_ && !reading.kept && !reading.begun;
  if (may_be_refused && error && !reading.refused) reading.refused = reading.turned_away = true;
  reads_answered += !reading.begun;
  reading.begun = true;
  if (reading.refused) {
    const uint8_t nothing[32] = {};
    if (!error || std::memcmp(data, nothing, sizeof(nothing)) != 0) {
      complain("a read that is refused is not answered with zeros and an error");
    }
  } else if (measuring_) {
    ++beats_read, error_beats += error, corrected_beats += corrected;
  }
  if (!reading.refused && !error && !golden_.matches(seen, data)) {
    complain("wrong data of address " + std::to_string(seen.address) + ", tag " + std::to_string(tag));
  }
  if (last != reading.beats.empty()) complain("`last` in the wrong place, tag " + std::to_string(tag));
  if (!reading.beats.empty()) return;
  refused += reading.refused && !reading.turned_away, turned_away += reading.turned_away;
  if (reading.measured && measuring_ && !reading.refused) {
    ++reads_done;
    ++latencies[std::min<uint64_t>(now_ - reading.offered, latencies.size() - 1)];
  }
  reading_[tag].pop_front();
  --outstanding_;
}

void Traffic::acknowledged(uint32_t tag, bool error) {
  if (tag >= writing_.size() || writing_[tag].empty()) {
    return complain("an acknowledge of tag " + std::to_string(tag) + " that no write waits for");
  }
  const Writing& writing = writing_[tag].front();
  const bool away = too_hot_ && error && !writing.refused;
  if (error != (writing.refused || away)) {
    complain("a write was refused, or should have been, tag " + std::to_string(tag));
  }
  refused += writing.refused, turned_away += away;
  for (size_t i = 0; i < writing.versions.size(); ++i) {
    golden_.acknowledge(writing.address + i, writing.versions[i], now_);
  }
  writing_[tag].pop_front();
  --outstanding_;
}

void Traffic::overheat() {
  if (std::exchange(too_hot_, true)) return;
  for (auto& of_tag : reading_) {
    for (Reading& each : of_tag) each.kept = true;
  }
  if (offering_ && !next_.write) reading_[next_.tag].back().kept = false;
}

void Traffic::forget() {
  for (auto& each : reading_) each.clear();
  for (auto& each : writing_) each.clear();
  words_.clear();
  made_ = offering_ = word_offering_ = too_hot_ = false;
  outstanding_ = 0;
  reads_answered = 0;
}

void Traffic::complain(const std::string& text) {
  ++wrong;
  if (complaints.size() < MOST_COMPLAINTS) {
    complaints.push_back("clock " + std::to_string(now_) + ", port " + std::to_string(pattern_.index) + ": " + text);
  }
}

}  // namespace hbm
