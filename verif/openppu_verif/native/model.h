// Verilated models as a native bench sees them: their ports by name, and a way to evaluate each.

#ifndef OPENPPU_NATIVE_MODEL_H
#define OPENPPU_NATIVE_MODEL_H

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace native {

// A port's bytes. Verilator keeps every port little-endian: numbers of 1, 2, 4, 8 bytes, or an array of 32-bit words.
struct Pin {
  uint8_t* at = nullptr;
  size_t bytes = 0;

  uint64_t number() const {
    uint64_t value = 0;
    std::memcpy(&value, at, bytes < 8 ? bytes : 8);
    return value;
  }
  void set(uint64_t value) const { std::memcpy(at, &value, bytes < 8 ? bytes : 8); }
};

template <class Port>
Pin pin(Port& port) {
  return {reinterpret_cast<uint8_t*>(&port), sizeof(port)};
}

struct Model {
  std::map<std::string, Pin> ports;  // by their paths, with dots
  std::function<void()> evaluate;
  std::function<void(const std::string& path)> open_waves;  // does nothing in a model built without
  std::function<void(uint64_t time)> dump_waves;
  std::function<void()> close_waves;
  std::shared_ptr<void> kept;  // what the functions need

  Pin port(const std::string& name) const {
    const auto found = ports.find(name);
    if (found == ports.end()) throw std::runtime_error("the model has no port " + name);
    return found->second;
  }
};

using Factory = std::function<Model()>;  // a model a call, independent of the others

}  // namespace native

#endif
