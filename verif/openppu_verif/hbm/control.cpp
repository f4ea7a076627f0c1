#include "control.h"

#include <cstdio>

namespace hbm {

namespace {

constexpr uint64_t MOST_TRIES = 20'000;  // of a register that is waited for
constexpr uint32_t OKAY = 0, SLVERR = 2;
constexpr uint32_t HALF = 32768;

std::string hexadecimal(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%x", value);
  return text;
}

}  // namespace

Access::Access(const std::string& text) {
  static const std::map<std::string, Kind> kinds{{"write", WRITE},             {"refuse", REFUSE}, {"read", READ},
                                                 {"refuse_read", REFUSE_READ}, {"check", CHECK},   {"wait", WAIT}};
  std::istringstream words(text);
  std::string name;
  if (!(words >> name >> offset >> value >> mask) || !kinds.count(name)) {
    throw std::runtime_error("access: " + text + ": expected KIND OFFSET VALUE MASK");
  }
  kind = kinds.at(name);
}

std::vector<Access> script(const std::vector<std::string>& lines) {
  return {lines.begin(), lines.end()};
}

Control::Control(const std::map<std::string, Pin>& ports, uint64_t seed) : ports_(ports), random_(seed) { reset(); }

const Pin& Control::pin(const std::string& name) const { return ports_.at("control." + name); }

void Control::add(const std::vector<Access>& accesses) {
  queue_.insert(queue_.end(), accesses.begin(), accesses.end());
}

void Control::drop() {
  while (queue_.size() > (under_way_ ? 1 : 0)) queue_.pop_back();
  if (under_way_) asked_ = MOST_TRIES;  // nothing is waited for any more
}

void Control::reset() {
  queue_.clear();
  under_way_ = false;
  for (const char* name : {"awvalid", "wvalid", "arvalid", "bready", "rready"}) pin(name).set(0);
}

void Control::drive() {
  if (!under_way_) {
    if (queue_.empty() || pause_-- > 0) return;
    under_way_ = true;
    address_offered_ = address_went_ = data_offered_ = data_went_ = false;
  }
  const Access& access = queue_.front();
  // Address and data come in any order.
  if (!address_offered_) address_offered_ = random_.chance(HALF);
  if (access.writes() && !data_offered_) data_offered_ = random_.chance(HALF);
  pin(access.writes() ? "awaddr" : "araddr").set(access.offset);
  pin("wdata").set(access.value);
  pin("wstrb").set(0xf);
  pin("awvalid").set(access.writes() && address_offered_ && !address_went_);
  pin("arvalid").set(!access.writes() && address_offered_ && !address_went_);
  pin("wvalid").set(access.writes() && data_offered_ && !data_went_);
  const bool ready = random_.chance(HALF);
  pin("bready").set(ready);
  pin("rready").set(ready);
}

void Control::take() {
  if (!under_way_) return;
  auto goes = [&](const char* valid, const char* ready) { return pin(valid).number() && pin(ready).number(); };
  address_went_ |= goes("awvalid", "awready") || goes("arvalid", "arready");
  data_went_ |= goes("wvalid", "wready");
  if (goes("bvalid", "bready")) {
    finish(0, static_cast<uint32_t>(pin("bresp").number()));
  } else if (goes("rvalid", "rready")) {
    finish(static_cast<uint32_t>(pin("rdata").number()), static_cast<uint32_t>(pin("rresp").number()));
  }
}

void Control::finish(uint32_t data, uint32_t response) {
  const Access access = queue_.front();
  const std::string name = "register " + hexadecimal(access.offset) + ": ";
  const bool refused = access.kind == Access::REFUSE || access.kind == Access::REFUSE_READ;
  if (!address_went_ || data_went_ != access.writes()) complaints_.push_back(name + "answered before it was asked");
  if (response != (refused ? SLVERR : OKAY)) {
    complaints_.push_back(name + (refused ? "an access was not refused" : "an access was refused"));
  }
  if (refused && data) complaints_.push_back(name + "data with an error");
  refused_ += refused;
  ++done_;
  under_way_ = false;
  for (const char* pins : {"bready", "rready"}) pin(pins).set(0);
  pause_ = static_cast<int>(random_.below(4));
  const bool fits = (data & access.mask) == access.value;
  if (access.kind == Access::WAIT && !fits && asked_ < MOST_TRIES) {
    if (++asked_ == MOST_TRIES) complaints_.push_back(name + "never became " + hexadecimal(access.value));
    return;  // and ask again
  }
  if (access.kind == Access::CHECK && !fits) {
    complaints_.push_back(name + hexadecimal(data) + " read, " + hexadecimal(access.value) + " expected");
  }
  if (access.kind == Access::READ) kept_[access.offset] = data;
  asked_ = 0;
  queue_.pop_front();
}

}  // namespace hbm
