// Streams stimulus rows from standard input through a pipeline, one a cycle, and response rows to standard output.
//
// A row is the words of the top's `stimulus` or `response` port, 32 bits each, low word first, in this machine's byte
// order. Response i is read in the cycle in which stimulus i is applied, before the clock edge, so a pipeline of
// latency L answers stimulus i in response i + L.

#include <cstdio>
#include <vector>

#include "Vtop.h"

namespace {

constexpr size_t kRows = 4096;

int fail(const char* what) {
    std::fprintf(stderr, "pipeline bench: %s\n", what);
    return 1;
}

}  // namespace

int main() {
    VerilatedContext context;
    Vtop top{&context};
    constexpr size_t in_words = sizeof(top.stimulus) / sizeof(uint32_t);
    constexpr size_t out_words = sizeof(top.response) / sizeof(uint32_t);
    std::vector<uint32_t> in(kRows * in_words);
    std::vector<uint32_t> out(kRows * out_words);

    top.rst = 0;
    for (;;) {
        const size_t bytes = std::fread(in.data(), 1, in.size() * sizeof(uint32_t), stdin);
        const size_t rows = bytes / (in_words * sizeof(uint32_t));
        if (rows * in_words * sizeof(uint32_t) != bytes) return fail("the stimulus ends inside a row");
        if (rows == 0) break;
        for (size_t row = 0; row < rows; ++row) {
            for (size_t word = 0; word < in_words; ++word) top.stimulus[word] = in[row * in_words + word];
            top.clk = 0;
            top.eval();
            for (size_t word = 0; word < out_words; ++word) out[row * out_words + word] = top.response[word];
            top.clk = 1;
            top.eval();
        }
        const size_t count = rows * out_words;
        if (std::fwrite(out.data(), sizeof(uint32_t), count, stdout) != count) return fail("cannot write");
    }
    return std::fflush(stdout) == 0 ? 0 : fail("cannot write");
}
