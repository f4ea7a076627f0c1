// The memory behind hbm_device.v: device model and checker, told of a channel's pins once a clock.
//
// The functions are what Verilog calls: hbm_device_dpi.cpp hands them to Verilator, hbm_device_vpi.cpp to Icarus.
// A memory is known by a number, which is its address. Bit vectors are little-endian, in words of 32 bits.

#ifndef OPENPPU_HBM_VERILOG_MEMORY_H
#define OPENPPU_HBM_VERILOG_MEMORY_H

#include <cstdint>

namespace hbm {

// Bits of `pins` and of `status`.
struct Pins {
  enum { RESET_N, CKE, INIT_START, WRITE_VALID };
};
struct Status {
  enum { READ_VALID, TEMPERATURE = 2, CATASTROPHIC = 5, ADDRESS_ERROR, INIT_COMPLETE = 8, UPDATE_REQUEST };
};
constexpr int READ_WORDS = 18, ACCESS_WORDS = 9;  // of 32 bits

// From a file of memory_file.py; 0, with a line on stderr, if that cannot be used.
int64_t memory_open(const char* path);
void memory_close(int64_t memory);

// Ends a clock: takes what the controller drove in it, and gives what it sees in the next one. Each rule that was
// broken and each command that could not be obeyed is a line on stderr. Returns how many there were so far.
int32_t memory_clock(int64_t memory, const uint32_t* row, const uint32_t* column, const uint32_t* write,
                     const uint32_t* write_mask, uint32_t pins, uint32_t* read, uint32_t* status);

// A fault or another event: a line of faults.h. False, with a line on stderr, if there is none such.
bool memory_inject(int64_t memory, const char* text);

// An access without the bus: data, then check bits. One beyond the memory is a command that could not be obeyed; what
// such a `peek` gives is zeros.
void memory_poke(int64_t memory, int pc, int bank, int row, int column, const uint32_t* word);
void memory_peek(int64_t memory, int pc, int bank, int row, int column, uint32_t* word);

}  // namespace hbm

#endif
