// hbm_device.v's calls under Icarus Verilog, as system tasks: each argument of the task is one of the C++ function's,
// its result comes first.

#include <vpi_user.h>

#include <array>
#include <vector>

#include "verilog_memory.h"

namespace {

// The arguments of the task that is called, one after the other.
class Arguments {
 public:
  Arguments() : all_(vpi_iterate(vpiArgument, vpi_handle(vpiSysTfCall, nullptr))) {}
  ~Arguments() {
    if (all_) vpi_free_object(all_);
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  vpiHandle next() { return vpi_scan(all_); }

  // Bits that are not known count as 0.
  std::vector<uint32_t> bits() {
    const vpiHandle argument = next();
    s_vpi_value value{};
    value.format = vpiVectorVal;
    vpi_get_value(argument, &value);
    std::vector<uint32_t> words((vpi_get(vpiSize, argument) + 31) / 32);
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = static_cast<uint32_t>(value.value.vector[i].aval & ~value.value.vector[i].bval);
    }
    return words;
  }
  int32_t number() { return static_cast<int32_t>(bits()[0]); }
  int64_t memory() {
    const std::vector<uint32_t> words = bits();
    return static_cast<int64_t>(uint64_t{words[1]} << 32 | words[0]);
  }
  const char* text() {
    s_vpi_value value{};
    value.format = vpiStringVal;
    vpi_get_value(next(), &value);
    return value.value.str;
  }

 private:
  vpiHandle all_;
};

template <size_t Words>
void put(vpiHandle to, const std::array<uint32_t, Words>& words) {
  std::array<s_vpi_vecval, Words> bits{};
  for (size_t i = 0; i < Words; ++i) bits[i].aval = static_cast<int32_t>(words[i]);
  s_vpi_value value{};
  value.format = vpiVectorVal;
  value.value.vector = bits.data();
  vpi_put_value(to, &value, nullptr, vpiNoDelay);
}

PLI_INT32 open(PLI_BYTE8*) {
  Arguments given;
  const vpiHandle result = given.next();
  const auto memory = static_cast<uint64_t>(hbm::memory_open(given.text()));
  put<2>(result, {static_cast<uint32_t>(memory), static_cast<uint32_t>(memory >> 32)});
  return 0;
}

PLI_INT32 close(PLI_BYTE8*) {
  Arguments given;
  hbm::memory_close(given.memory());
  return 0;
}

PLI_INT32 clock(PLI_BYTE8*) {
  Arguments given;
  const vpiHandle result = given.next();
  const int64_t memory = given.memory();
  const auto row = given.bits(), column = given.bits(), write = given.bits(), write_mask = given.bits();
  const uint32_t pins = given.bits()[0];
  std::array<uint32_t, hbm::READ_WORDS> read;
  std::array<uint32_t, 1> status;
  const int32_t failures = hbm::memory_clock(memory, row.data(), column.data(), write.data(), write_mask.data(), pins,
                                             read.data(), status.data());
  put(given.next(), read);
  put(given.next(), status);
  put<1>(result, {static_cast<uint32_t>(failures)});
  return 0;
}

PLI_INT32 inject(PLI_BYTE8*) {
  Arguments given;
  const vpiHandle result = given.next();
  const int64_t memory = given.memory();
  put<1>(result, {hbm::memory_inject(memory, given.text())});
  return 0;
}

PLI_INT32 poke(PLI_BYTE8*) {
  Arguments given;
  const int64_t memory = given.memory();
  const int pc = given.number(), bank = given.number(), row = given.number(), column = given.number();
  hbm::memory_poke(memory, pc, bank, row, column, given.bits().data());
  return 0;
}

PLI_INT32 peek(PLI_BYTE8*) {
  Arguments given;
  const int64_t memory = given.memory();
  const int pc = given.number(), bank = given.number(), row = given.number(), column = given.number();
  std::array<uint32_t, hbm::ACCESS_WORDS> word;
  hbm::memory_peek(memory, pc, bank, row, column, word.data());
  put(given.next(), word);
  return 0;
}

// Ends the simulation with exit code 1, which $finish cannot.
PLI_INT32 fail(PLI_BYTE8*) {
  vpip_set_return_value(1);
  vpi_control(vpiFinish, 0);
  return 0;
}

void add(const char* name, PLI_INT32 (*task)(PLI_BYTE8*)) {
  s_vpi_systf_data data{};
  data.type = vpiSysTask;
  data.tfname = name;
  data.calltf = task;
  vpi_register_systf(&data);
}

void add_all() {
  add("$hbm_open", open);
  add("$hbm_close", close);
  add("$hbm_clock", clock);
  add("$hbm_inject", inject);
  add("$hbm_poke", poke);
  add("$hbm_peek", peek);
  add("$hbm_fail", fail);
}

}  // namespace

extern "C" {
void (*vlog_startup_routines[])() = {add_all, nullptr};
}
