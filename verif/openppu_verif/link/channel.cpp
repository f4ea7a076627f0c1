#include "channel.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace link {

namespace {

constexpr int MOST_WORDS = 4096;  // of delay
constexpr int SPARE = 64;         // words that doubled ones may add to it
constexpr uint64_t NEVER = ~uint64_t{0};

// A power of two of words, enough for a delay.
uint64_t kept_for(int words) {
  uint64_t count = 2 * SPARE;
  while (count < static_cast<uint64_t>(words) + 2 * SPARE) count *= 2;
  return count;
}

}  // namespace

Lane::Lane(int bits, const LaneSettings& settings, uint64_t seed)
    : bits_(bits), mask_(bits == 64 ? ~Word{0} : (Word{1} << bits) - 1), settings_(settings), random_(seed),
      past_(kept_for(settings.delay / bits), 0) {
  if (settings.delay < bits || settings.delay > MOST_WORDS * bits)
    throw std::runtime_error("a lane's delay is 1 to " + std::to_string(MOST_WORDS) + " words");
  draw_error();
  draw_burst();
}

Word Lane::step(Word sent, bool idle) {
  ++now_;
  past_[now_ & (past_.size() - 1)] = idle ? 0 : (settings_.inverted ? ~sent : sent) & mask_;
  signal_ = life_ != Life::dark && !idle;
  if (life_ == Life::noise) return random_.next() & mask_;
  if (life_ == Life::stuck) return stuck_;
  if (life_ == Life::dark) return 0;

  // A lost word brings all later ones forward: as far as there is delay to take from. A doubled one puts them back.
  const int64_t words = settings_.delay / bits_ - 1;  // the step from one end to the other is a word
  const int64_t least = -words;
  const int64_t most = SPARE;
  if (happens(faults_.dropped) && shift_ > least) --shift_, ++lost_words_;
  if (happens(faults_.doubled) && shift_ < most) ++shift_, ++lost_words_;
  int64_t place = shift_;
  if (swap_ > 0) {
    place += 1, --swap_;  // the word that should have come before
  } else if (happens(faults_.swapped) && shift_ > least) {
    place -= 1, ++swap_, ++lost_words_;
  }
  const Word word = wrong(delayed(static_cast<uint64_t>(words + place)));
  stuck_ = word;
  return word;
}

// The bits of a word, a delay of so many words and the rest of the bits ago.
Word Lane::delayed(uint64_t words) const {
  const int rest = settings_.delay % bits_;
  const Word later = past_[(now_ - words) & (past_.size() - 1)];
  if (rest == 0) return later;
  const Word earlier = past_[(now_ - words - 1) & (past_.size() - 1)];
  return ((later << rest) | (earlier >> (bits_ - rest))) & mask_;
}

Word Lane::wrong(Word word) {
  Word flips = 0;
  const auto bits = static_cast<uint64_t>(bits_);
  if (burst_left_ == 0 && until_error_ >= bits && until_burst_ >= bits) {
    until_error_ -= until_error_ == NEVER ? 0 : bits;
    until_burst_ -= until_burst_ == NEVER ? 0 : bits;
    return word;
  }
  for (int bit = 0; bit < bits_; ++bit) {
    bool flip = false;
    if (until_error_ == 0) {
      flip = true;
      draw_error();
    } else if (until_error_ != NEVER) {
      --until_error_;
    }
    if (burst_left_ > 0) {
      flip ^= --burst_left_ == 0 || random_.below(2) != 0;
    } else if (until_burst_ == 0) {
      flip = !flip;
      burst_left_ = faults_.burst_bits - 1;
      draw_burst();
    } else if (until_burst_ != NEVER) {
      --until_burst_;
    }
    flips |= Word{flip} << bit;
  }
  wrong_bits_ += static_cast<uint64_t>(__builtin_popcountll(flips));
  return word ^ flips;
}

void Lane::draw_error() { until_error_ = wait_for(faults_.bit_errors); }

void Lane::draw_burst() { until_burst_ = wait_for(faults_.bursts); }

bool Lane::happens(double chance) {
  return chance > 0 && static_cast<double>(random_.next() >> 11) < chance * 9007199254740992.0;
}

// Bits before the next one that something happens to, by the geometric distribution.
uint64_t Lane::wait_for(double chance) {
  if (chance <= 0) return NEVER;
  if (chance >= 1) return 0;
  const double uniform = (static_cast<double>(random_.next() >> 11) + 0.5) / 9007199254740992.0;
  const double wait = std::log(uniform) / std::log1p(-chance);
  return wait > 1e18 ? NEVER : static_cast<uint64_t>(wait);
}

Channel::Channel(int lane_bits, const std::vector<LaneSettings>& lanes, uint64_t seed)
    : bytes_(lane_bits / 8), settings_(lanes), received_(lanes.size() * static_cast<size_t>(bytes_), 0) {
  for (size_t number = 0; number < lanes.size(); ++number)
    lanes_.emplace_back(lane_bits, lanes[number], native::scramble(seed) + number);
}

void Channel::step(const uint8_t* sent, uint64_t idle) {
  signal_ = 0;
  for (size_t number = 0; number < lanes_.size(); ++number) {
    Word word = 0;
    std::memcpy(&word, sent + number * static_cast<size_t>(bytes_), static_cast<size_t>(bytes_));
    const Word out = lanes_[number].step(word, idle >> number & 1);
    const auto to = static_cast<size_t>(settings_[number].arrives_as);
    std::memcpy(received_.data() + to * static_cast<size_t>(bytes_), &out, static_cast<size_t>(bytes_));
    signal_ |= uint64_t{lanes_[number].signal()} << to;
  }
}

void Channel::set(const Faults& faults) {
  for (Lane& lane : lanes_) lane.set(faults);
}

uint64_t Channel::wrong_bits() const {
  uint64_t sum = 0;
  for (const Lane& lane : lanes_) sum += lane.wrong_bits();
  return sum;
}

uint64_t Channel::lost_words() const {
  uint64_t sum = 0;
  for (const Lane& lane : lanes_) sum += lane.lost_words();
  return sum;
}

}  // namespace link
