// Fields of ports, parameters and random numbers for native benches.

#ifndef OPENPPU_NATIVE_BENCH_IO_H
#define OPENPPU_NATIVE_BENCH_IO_H

#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace native {

// A field of a port, of up to 57 bits.
struct Field {
  uint32_t offset = 0, width = 0;

  uint64_t get(const uint8_t* port) const {
    uint64_t value = 0;
    std::memcpy(&value, port + offset / 8, bytes());
    return value >> offset % 8 & mask();
  }
  void set(uint8_t* port, uint64_t to) const {
    uint64_t value = 0;
    std::memcpy(&value, port + offset / 8, bytes());
    value = (value & ~(mask() << offset % 8)) | ((to & mask()) << offset % 8);
    std::memcpy(port + offset / 8, &value, bytes());
  }

 private:
  uint64_t mask() const { return (uint64_t{1} << width) - 1; }
  size_t bytes() const { return (offset % 8 + width + 7) / 8; }
};

// Lines of a key and its values. A key may come several times.
class Parameters {
 public:
  explicit Parameters(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key;
      words >> key;
      std::string rest;
      std::getline(words >> std::ws, rest);
      values_[key].push_back(rest);
    }
  }

  const std::vector<std::string>& all(const std::string& key) const {
    static const std::vector<std::string> none;
    const auto found = values_.find(key);
    return found == values_.end() ? none : found->second;
  }
  const std::string& text(const std::string& key) const {
    if (all(key).empty()) throw std::runtime_error("parameter " + key + " is missing");
    return all(key).front();
  }
  int64_t number(const std::string& key) const { return std::stoll(text(key)); }
  std::vector<uint64_t> numbers(const std::string& key) const {
    std::istringstream words(text(key));
    std::vector<uint64_t> result;
    for (uint64_t value; words >> value;) result.push_back(value);
    return result;
  }
  Field field(const std::string& name) const {
    const auto found = numbers("field." + name);
    if (found.size() != 2) throw std::runtime_error("field " + name + " has no offset and width");
    return {static_cast<uint32_t>(found[0]), static_cast<uint32_t>(found[1])};
  }

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

inline std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// A small, good-enough generator of random numbers (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567) {
    if (state_ == 0) state_ = 1;
  }
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }
  uint64_t below(uint64_t limit) { return (next() >> 16) % limit; }
  bool chance(uint32_t of_65536) { return (next() >> 32 & 0xffff) < of_65536; }

 private:
  uint64_t state_;
};

// A number that looks random, of another.
inline uint64_t scramble(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

}  // namespace native

#endif
