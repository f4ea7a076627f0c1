// What is between the SerDes of two ports, one way: lanes with a delay each, wrong bits, lost words, dead lanes.
//
// A lane's words go in and come out at the same rate. What comes out is cut from the lane's bits at another place.
// Everything that goes wrong is drawn from a seed, and counted.

#ifndef OPENPPU_LINK_CHANNEL_H
#define OPENPPU_LINK_CHANNEL_H

#include <cstdint>
#include <string>
#include <vector>

#include "bench_io.h"

namespace link {

using Word = uint64_t;

// Rates are chances a bit or a word.
struct Faults {
  double bit_errors = 0;     // each bit, on its own
  double bursts = 0;         // a bit begins a burst
  int burst_bits = 16;       // from its first wrong bit to its last; those between are wrong or not
  double dropped = 0;        // a word is lost
  double doubled = 0;        // a word comes twice
  double swapped = 0;        // a word comes after its successor
};

enum class Life { alive, dark, stuck, noise };  // dark: no signal; stuck: the same bits for ever; noise: any bits

struct LaneSettings {
  int delay = 64;            // bits, from the word's first bit in to out; at least a word
  int arrives_as = 0;        // the lane at the other end
  bool inverted = false;
};

class Lane {
 public:
  Lane(int bits, const LaneSettings& settings, uint64_t seed);

  Word step(Word sent, bool idle);
  bool signal() const { return signal_; }
  void set(const Faults& faults) { faults_ = faults; draw_error(), draw_burst(); }
  void set(Life life) { life_ = life; }

  uint64_t wrong_bits() const { return wrong_bits_; }
  uint64_t lost_words() const { return lost_words_; }

 private:
  Word delayed(uint64_t back) const;
  Word wrong(Word word);
  void draw_error();
  void draw_burst();
  bool happens(double chance);
  uint64_t wait_for(double chance);

  int bits_;
  Word mask_;
  LaneSettings settings_;
  native::Random random_;
  Faults faults_;
  Life life_ = Life::alive;
  bool signal_ = false;
  std::vector<Word> past_;
  uint64_t now_ = 0;
  int64_t shift_ = 0;        // words, by which lost and doubled ones have moved the rest
  int swap_ = 0;
  Word stuck_ = 0;
  uint64_t until_error_ = 0, until_burst_ = 0;
  int burst_left_ = 0;
  uint64_t wrong_bits_ = 0, lost_words_ = 0;
};

// All lanes of a port, one way.
class Channel {
 public:
  Channel(int lane_bits, const std::vector<LaneSettings>& lanes, uint64_t seed);

  // A clock of the sender: words as a port has them, side by side.
  void step(const uint8_t* sent, uint64_t idle);
  const uint8_t* received() const { return received_.data(); }
  uint64_t signal() const { return signal_; }

  Lane& lane(size_t number) { return lanes_.at(number); }
  size_t lanes() const { return lanes_.size(); }
  void set(const Faults& faults);

  uint64_t wrong_bits() const;
  uint64_t lost_words() const;

 private:
  int bytes_;
  std::vector<LaneSettings> settings_;
  std::vector<Lane> lanes_;
  std::vector<uint8_t> received_;
  uint64_t signal_ = 0;
};

}  // namespace link

#endif
