// A behavioural HBM2e channel of two pseudo-channels (PCs) behind a PHY (docs/hbm.md), a controller clock at a time:
// bank state, power, data at their exact time, faults on demand.
//
// It obeys what it can and reports what it cannot; how far commands must be apart is the checker's business. Its data
// come and go by the latencies in its mode registers, which also say whether it has parity and check bits. Memory is
// kept for the words that were written; the others read as the background says, zeros by default.

#ifndef OPENPPU_HBM_DEVICE_H
#define OPENPPU_HBM_DEVICE_H

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "checker.h"  // commands

namespace hbm {

constexpr int COLUMNS = 32, BEATS = 4;

// One access: four beats of 64 data bits, the first lowest, and the check bits of each.
struct Word {
  uint8_t data[32];
  uint8_t check[BEATS];
};

struct RowSlot {
  int32_t command, pc, bank, row;
};

struct ColumnSlot {
  int32_t command, bank, column, operand;
};

// From the controller, during one clock.
struct Drive {
  int32_t reset_n, cke, init_start;
  RowSlot row[2];        // by memory clock
  ColumnSlot column[2];  // by PC, and so by memory clock
  int32_t write_valid[PCS];
  uint32_t write_mask[PCS];  // a bit a byte
  Word write[PCS];
};

// To the controller, during one clock.
struct Sense {
  int32_t read_valid[PCS];
  Word read[PCS];
  int32_t temperature, catastrophic, address_error, init_complete, update_request;
};

struct Organisation {
  int32_t banks, rows, training_clocks, address_error_clocks, read_delay;
};

class Device {
 public:
  using Background = std::function<void(int pc, int bank, uint32_t row, int column, Word& word)>;

  // With mode registers, as after its initialisation; else it has no power yet.
  explicit Device(const Organisation& organisation, const uint8_t* modes = nullptr);

  void set_background(Background background) { background_ = std::move(background); }

  // What the controller sees in the present clock.
  const Sense& sense() const { return sense_; }

  // Ends the present clock. Returns a bit for each slot whose command a parity fault lost: row 0, 1, column 0, 1.
  int clock(const Drive& drive);

  // Memory without the bus; `peek` and `write` of a place beyond it are problems.
  void peek(int pc, int bank, uint32_t row, int column, Word& word);
  void read(int pc, int bank, uint32_t row, int column, Word& word) const;
  void write(int pc, int bank, uint32_t row, int column, const Word& word);
  uint64_t pages() const { return pages_.size(); }
  uint64_t count_stored(const std::function<bool(const Word&)>& which) const;
  void erase() { pages_.clear(); }

  // Faults. A bit is 0 to 255 of the data or 256 to 287 of the check bits. Those on the wires of a PC come one after
  // the other: the next begins to count when one is over.
  void flip_bit(int pc, int bank, uint32_t row, int column, int bit);         // once, in the memory
  void stick_bit(int pc, int bank, uint32_t row, int column, int bit, bool value);
  void flip_reads(int pc, uint64_t skip, uint64_t count, const Word& mask);   // on the wires
  void lose_strobes(int pc, uint64_t skip, uint64_t count);
  void spoil_command(bool column_bus, uint64_t skip);                         // parity: ignored, and AERR
  void clear_faults();

  void set_temperature(int code) { sense_.temperature = code; }
  void set_catastrophic(bool on) { sense_.catastrophic = on; }
  void set_update_request(bool on) { sense_.update_request = on; }

  uint64_t problems() const { return problems_; }
  const std::vector<std::string>& first_problems() const { return texts_; }
  int mode_register(int number) const { return mode_[number & 15]; }
  bool any_open() const;
  bool open(int pc, int bank) const { return banks_[pc][bank].open; }
  uint64_t reads(int pc) const { return reads_[pc]; }
  uint64_t writes(int pc) const { return writes_[pc]; }

 private:
  static constexpr int AHEAD = 256;  // clocks; a power of two

  struct Page {
    uint32_t present = 0;
    std::array<Word, COLUMNS> words;
  };
  struct Bank {
    bool open = false;
    uint32_t row = 0;
  };
  struct Arrival {  // of a word on its way from the memory
    bool valid = false;
    Word word;
  };
  struct Expected {  // of a word on its way to the memory
    enum { NOTHING, KEPT, DROPPED } what = NOTHING;
    uint8_t bank = 0, column = 0;
    uint32_t row = 0;
  };
  struct ReadFault {
    uint64_t skip, count;
    bool lost;
    Word mask;
  };
  struct Stuck {
    int bit;
    bool value;
  };

  uint64_t key(int pc, int bank, uint32_t row) const {
    return (uint64_t(pc) * organisation_.banks + bank) * organisation_.rows + row;
  }
  bool fits(int pc, int bank, uint32_t row, int column) const;
  bool reaches(const std::string& what, int pc, int bank, uint32_t row, int column);
  void row_command(const RowSlot& slot);
  void column_command(const ColumnSlot& slot, int pc);
  void exit_from(Command entry, Command exit);
  void start_read(int pc, const ColumnSlot& slot);
  void take_write(int pc, const Drive& drive);
  bool awake(Command what);
  bool spoiled(bool column_bus, int command);
  void problem(const std::string& text);

  // What the mode registers say.
  int read_latency() const { return 2 + (mode_[4] >> 5 & 1) * 32 + (mode_[2] >> 3); }
  int write_latency() const { return 1 + (mode_[4] >> 4 & 1) * 8 + (mode_[2] & 7); }
  bool has_parity() const { return mode_[0] >> 6 & 1; }
  bool has_check_bits() const { return mode_[4] & 1; }
  bool has_mask() const { return !(mode_[4] >> 1 & 1); }

  Organisation organisation_;
  Background background_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
  std::array<std::vector<Bank>, PCS> banks_;
  std::array<std::array<Arrival, AHEAD>, PCS> arrivals_;
  std::array<std::array<Expected, AHEAD>, PCS> expected_;
  std::array<uint8_t, 16> mode_{};
  Sense sense_{};
  bool reset_n_, cke_, configured_;
  Command asleep_ = NOP;
  uint64_t now_ = 0, training_until_ = 0;
  std::array<uint8_t, AHEAD> alarms_{};  // of parity: a bit a slot

  std::array<std::deque<ReadFault>, PCS> read_faults_;
  std::unordered_map<uint64_t, std::vector<Stuck>> stuck_;
  std::array<std::vector<uint64_t>, 2> spoil_;  // commands to go, by bus

  std::array<uint64_t, PCS> reads_{}, writes_{};
  uint64_t problems_ = 0;
  std::vector<std::string> texts_;
};

}  // namespace hbm

#endif
