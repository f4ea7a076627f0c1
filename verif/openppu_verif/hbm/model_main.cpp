// Hands the Verilated model to a bench in a library of its own: a bench that changes needs no model built again.
//
// usage: simulator LIBRARY ARGUMENTS...
//
// channel_ports.h is generated: `ports(top)` finds every port of the model by its name.

#include <dlfcn.h>

#include <cstdio>
#include <memory>

#include "Vtop.h"
#include "channel_ports.h"
#include "model.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: simulator LIBRARY ARGUMENTS...\n");
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW);
  void* found = library ? dlsym(library, "bench_main") : nullptr;
  if (!found) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const auto bench_main = reinterpret_cast<int (*)(hbm::Model&, int, char**)>(found);

  VerilatedContext context;
#if VM_TRACE
  VerilatedVcdC waves;
  context.traceEverOn(true);
#endif
  const auto top = std::make_unique<Vtop>(&context);
  hbm::Model model{ports(*top), hbm::pin(top->clk), hbm::pin(top->rst), [&] { top->eval(); },
                   [](const std::string&) {}, [](uint64_t) {}, [] {}};
#if VM_TRACE
  model.open_waves = [&](const std::string& path) {
    top->trace(&waves, 99);
    waves.open(path.c_str());
  };
  model.dump_waves = [&](uint64_t time) {
    if (waves.isOpen()) waves.dump(time);
  };
  model.close_waves = [&] { waves.close(); };
#endif
  return bench_main(model, argc - 1, argv + 1);
}
