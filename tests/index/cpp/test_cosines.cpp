// Cosines of vectors in a file, under the sanitizers; see `make sanitize`.
#include "../../../index/expertrag_index/cosines/cpu/cosines.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace expertrag;

namespace {

void require(bool sound, const char* message) {
  if (sound) return;
  std::fprintf(stderr, "failed: %s\n", message);
  std::exit(1);
}

// The halves of 1, -2, 0.5 and so on: a power of two for each exponent, with changing signs.
uint16_t half_of(size_t i) { return static_cast<uint16_t>((i % 2) << 15 | (13 + i % 5) << 10); }

double value_of(size_t i) { return (i % 2 ? -1.0 : 1.0) * std::ldexp(1.0, int(i % 5) - 2); }

void check_dimension(size_t dimension) {
  const size_t count = 9;
  const int64_t start = 3;  // not aligned
  std::FILE* file = std::tmpfile();
  require(file != nullptr, "a temporary file");
  std::fwrite("xxx", 1, 3, file);
  std::vector<uint16_t> vectors(count * dimension);
  for (size_t i = 0; i < vectors.size(); ++i) vectors[i] = half_of(i);
  std::fwrite(vectors.data(), sizeof(uint16_t), vectors.size(), file);
  std::fflush(file);

  std::vector<float> query(dimension, 1.0f / std::sqrt(static_cast<float>(dimension)));
  const std::vector<int64_t> wanted{8, 0, 3, 3};
  std::vector<float> out(wanted.size());
  const Rows rows{fileno(file), start, dimension};
  ask_for(rows, wanted.data(), wanted.size());
  require(cosines(rows, wanted.data(), wanted.size(), query.data(), out.data()) == 0, "no error");
  for (size_t i = 0; i < wanted.size(); ++i) {
    double dot = 0, square = 0;
    for (size_t j = 0; j < dimension; ++j) {
      const double value = value_of(wanted[i] * dimension + j);
      dot += value * query[j];
      square += value * value;
    }
    require(std::abs(out[i] - dot / std::sqrt(square)) < 1e-5, "the cosine");
  }
  const int64_t missing = count;
  require(cosines(rows, &missing, 1, query.data(), out.data()) == FILE_ENDS, "the file ends");
  require(cosines({-1, 0, dimension}, wanted.data(), 1, query.data(), out.data()) > 0, "an error");
  std::fclose(file);
}

}  // namespace

int main() {
  for (const size_t dimension : {1, 7, 8, 15, 16, 384, 1000}) check_dimension(dimension);
  std::puts("cosines: ok");
  return 0;
}
