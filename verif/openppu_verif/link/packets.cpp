#include "packets.h"

#include <algorithm>
#include <cstring>

namespace link {

namespace {

constexpr size_t MOST_PROBLEMS = 10;

std::string hex(const uint8_t* bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

}  // namespace

WordLayout::WordLayout(const native::Parameters& parameters)
    : operation(parameters.field("packet.operation")), length(parameters.field("packet.length")),
      count(parameters.field("packet.count")), filled(parameters.field("packet.filled")),
      cut(parameters.field("packet.cut")), first(parameters.field("packet.first")), last(parameters.field("packet.last")),
      header(parameters.field("packet.header").offset / 8), data(parameters.field("packet.data").offset / 8),
      data_bytes(parameters.field("packet.data").width / 8),
      brings_data(static_cast<uint64_t>(parameters.number("brings_data"))) {}

Flow::Flow(std::string name, const WordLayout& layout, const Traffic& traffic, uint64_t seed, native::Pin valid,
           native::Pin ready, native::Pin payload, native::Pin out_valid, native::Pin out_ready,
           native::Pin out_payload)
    : name_(std::move(name)), layout_(layout), traffic_(traffic), random_(seed), valid_(valid), ready_(ready),
      payload_(payload), out_valid_(out_valid), out_ready_(out_ready), out_payload_(out_payload) {}

void Flow::begin_packet() {
  Packet packet;
  for (size_t i = 0; i < HEADER_BYTES; ++i)
    packet.header[i] = static_cast<uint8_t>((random_.next() >> 24 & 0xff & ~mask_[i]) | fixed_[i]);
  std::vector<uint64_t> choices;
  for (uint64_t code = 0; code < 64; ++code)
    if (traffic_.operations >> code & 1) choices.push_back(code);
  const uint64_t operation = choices.at(random_.below(choices.size()));
  auto bytes = static_cast<uint32_t>(traffic_.least + random_.below(traffic_.most - traffic_.least + 1));
  if (!file_.empty()) {
    bytes = static_cast<uint32_t>(std::min<size_t>(bytes, file_.size() - carried_));
    packet.given = file_.data() + carried_;
    carried_ += bytes;
  }
  std::vector<uint8_t> word(payload_.bytes + 8, 0);
  std::memcpy(word.data() + layout_.header, packet.header.data(), HEADER_BYTES);
  layout_.operation.set(word.data(), operation);
  layout_.length.set(word.data(), bytes - 1);
  std::memcpy(packet.header.data(), word.data() + layout_.header, HEADER_BYTES);
  packet.bytes = layout_.brings_data >> operation & 1 ? bytes : 0;
  packet.seed = random_.next();
  sending_ = packet;
  sent_ = 0;
  ++begun_packets_;
}

void Flow::word_in() {
  std::vector<uint8_t> word(payload_.bytes + 8, 0);
  for (uint8_t& byte : word) byte = static_cast<uint8_t>(random_.next() >> 24);  // what is not used is noise
  const uint32_t left = sending_->bytes - sent_;
  const auto count = std::min(left, static_cast<uint32_t>(layout_.data_bytes));
  if (sent_ == 0) std::memcpy(word.data() + layout_.header, sending_->header.data(), HEADER_BYTES);
  for (uint32_t i = 0; i < count; ++i) word[layout_.data + i] = sending_->byte(sent_ + i);
  layout_.filled.set(word.data(), count != 0);
  layout_.count.set(word.data(), count ? count - 1 : 0);
  layout_.cut.set(word.data(), 0);
  layout_.first.set(word.data(), sent_ == 0);
  layout_.last.set(word.data(), count == left);
  std::memcpy(payload_.at, word.data(), payload_.bytes);
}

void Flow::drive_in(bool more) {
  if (offered_) return;
  const bool has = file_.empty() ? begun_packets_ < traffic_.packets && more : carried_ < file_.size();
  if (!sending_ && has && traffic_.operations && !random_.chance(traffic_.pause)) begin_packet();
  offered_ = sending_ && (sent_ == 0 || !random_.chance(traffic_.stall));
  valid_.set(offered_);
  if (offered_) word_in();
}

void Flow::sample_in(uint64_t now) {
  if (!offered_ || !ready_.number()) return;
  offered_ = false;
  if (sent_ == 0) {
    sending_->begun = now;
    expected_.push_back(*sending_);
  }
  sent_ += std::min(sending_->bytes - sent_, static_cast<uint32_t>(layout_.data_bytes));
  if (sent_ == sending_->bytes) {
    ++packets_in;
    bytes_in += HEADER_BYTES + sending_->bytes;
    sending_.reset();
  }
}

void Flow::drive_out() {
  ready_now_ = !random_.chance(traffic_.hold);
  out_ready_.set(ready_now_);
}

void Flow::sample_out(uint64_t now) {
  if (!out_valid_.number()) {
    if (!waits_.empty()) wrong_word("valid fell before the word was taken");
    waits_.clear();
    return;
  }
  if (!waits_.empty() && std::memcmp(waits_.data(), out_payload_.at, waits_.size()) != 0)
    wrong_word("the word changed while it waited");
  if (ready_now_) {
    waits_.clear();
    check_word(now);
  } else {
    waits_.assign(out_payload_.at, out_payload_.at + out_payload_.bytes);
  }
}

void Flow::check_word(uint64_t now) {
  if (last_out_) longest_gap = std::max(longest_gap, now - last_out_);
  last_out_ = now;
  std::vector<uint8_t> word(out_payload_.bytes + 8, 0);
  std::memcpy(word.data(), out_payload_.at, out_payload_.bytes);
  const bool first = layout_.first.get(word.data()) != 0;
  if (first == receiving_) return wrong_word(first ? "a packet begins within another" : "a word without a beginning");
  if (first) {
    const auto same = [&](const Packet& packet) {
      return std::memcmp(packet.header.data(), word.data() + layout_.header, HEADER_BYTES) == 0;
    };
    while (!expected_.empty() && expected_.front().may_be_lost && !same(expected_.front())) {
      ++lost;
      expected_.pop_front();
    }
    if (expected_.empty()) return wrong_word("a packet that nobody sent: " + hex(word.data() + layout_.header, 10));
    if (!same(expected_.front()))
      return wrong_word("header " + hex(word.data() + layout_.header, 10) + ", not " +
                        hex(expected_.front().header.data(), 10));
    ++latencies[now - expected_.front().begun];
    receiving_ = true;
    received_ = 0;
    operation_ = layout_.operation.get(word.data());
  }
  const Packet& packet = expected_.front();
  if (layout_.cut.get(word.data())) {
    if (first || !packet.may_be_lost || !layout_.last.get(word.data()) || layout_.filled.get(word.data()))
      return wrong_word("a packet is cut off without a reason");
    ++lost;
    receiving_ = false;
    expected_.pop_front();
    return;
  }
  const auto count = std::min(packet.bytes - received_, static_cast<uint32_t>(layout_.data_bytes));
  const uint64_t got = layout_.filled.get(word.data()) ? layout_.count.get(word.data()) + 1 : 0;
  if (got != count) return wrong_word(std::to_string(got) + " bytes in a word, not " + std::to_string(count));
  for (uint32_t i = 0; i < count; ++i)
    if (word[layout_.data + i] != packet.byte(received_ + i))
      return wrong_word("byte " + std::to_string(received_ + i) + " of " + std::to_string(packet.bytes) + " is wrong");
  if (packet.given) arrived_.insert(arrived_.end(), word.data() + layout_.data, word.data() + layout_.data + count);
  received_ += count;
  bytes_out += count + (first ? HEADER_BYTES : 0);
  data_out += count;
  const bool last = received_ == packet.bytes;
  if ((layout_.last.get(word.data()) != 0) != last) return wrong_word("its end is elsewhere");
  if (last) {
    ++packets_out;
    operations_out |= uint64_t{1} << operation_;
    receiving_ = false;
    expected_.pop_front();
  }
}

void Flow::wrong_word(const std::string& what) {
  ++wrong;
  if (problems.size() < MOST_PROBLEMS) problems.push_back(name_ + ", packet " + std::to_string(packets_out) + ": " + what);
}

bool Flow::empty() const {
  const auto lost = [](const Packet& packet) { return packet.may_be_lost; };
  // One of which a part has come out must come to an end, if only to be cut off.
  return !sending_ && !receiving_ && carried_ == file_.size() && std::all_of(expected_.begin(), expected_.end(), lost);
}

void Flow::link_reset() {
  for (Packet& packet : expected_) packet.may_be_lost = true;
}

void Flow::sender_reset() {
  link_reset();
  sending_.reset();
  offered_ = false;
  valid_.set(0);
}

void Flow::receiver_reset() {
  link_reset();
  if (receiving_) {
    ++lost;
    receiving_ = false;
    expected_.pop_front();
  }
  waits_.clear();
}

}  // namespace link
