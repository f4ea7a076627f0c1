// Hands Verilated models to a bench in a library of its own: a bench that changes needs no model built again.
//
// usage: simulator LIBRARY ARGUMENTS...
//
// model_ports.h is generated: `ports(top)` finds every port of the model by its name.

#include <dlfcn.h>

#include <cstdio>
#include <memory>

#include "Vtop.h"
#include "model.h"
#include "model_ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

struct Parts {
  VerilatedContext context;
#if VM_TRACE
  VerilatedVcdC waves;
#endif
  std::unique_ptr<Vtop> top;
};

native::Model make() {
  const auto parts = std::make_shared<Parts>();
#if VM_TRACE
  parts->context.traceEverOn(true);
#endif
  parts->top = std::make_unique<Vtop>(&parts->context);
  Vtop* top = parts->top.get();
  native::Model model{ports(*top), [top] { top->eval(); }, [](const std::string&) {}, [](uint64_t) {}, [] {}, parts};
#if VM_TRACE
  VerilatedVcdC* waves = &parts->waves;
  model.open_waves = [top, waves](const std::string& path) {
    top->trace(waves, 99);
    waves->open(path.c_str());
  };
  model.dump_waves = [waves](uint64_t time) {
    if (waves->isOpen()) waves->dump(time);
  };
  model.close_waves = [waves] { waves->close(); };
#endif
  return model;
}

}  // namespace

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
  const auto bench_main = reinterpret_cast<int (*)(const native::Factory&, int, char**)>(found);
  return bench_main(make, argc - 1, argv + 1);
}
