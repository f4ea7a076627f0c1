// hbm_device.v's calls under Verilator, and any simulator with DPI-C.

#include "svdpi.h"
#include "verilog_memory.h"

extern "C" {

long long hbm_open(const char* path) { return hbm::memory_open(path); }

void hbm_close(long long memory) { hbm::memory_close(memory); }

int hbm_clock(long long memory, const svBitVecVal* row, const svBitVecVal* column, const svBitVecVal* write,
              const svBitVecVal* write_mask, const svBitVecVal* pins, svBitVecVal* read, svBitVecVal* status) {
  return hbm::memory_clock(memory, row, column, write, write_mask, *pins, read, status);
}

int hbm_inject(long long memory, const char* text) { return hbm::memory_inject(memory, text); }

void hbm_poke(long long memory, int pc, int bank, int row, int column, const svBitVecVal* word) {
  hbm::memory_poke(memory, pc, bank, row, column, word);
}

void hbm_peek(long long memory, int pc, int bank, int row, int column, svBitVecVal* word) {
  hbm::memory_peek(memory, pc, bank, row, column, word);
}

}  // extern "C"
