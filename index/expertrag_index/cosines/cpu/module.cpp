// The Python module: checks the sizes of arrays, and releases the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>

#include "cosines.h"

namespace nb = nanobind;
using namespace expertrag;

namespace {

template <typename T>
using Array = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

int cosines_of(int file, int64_t start, bool ask, Array<const int64_t> wanted,
               Array<const float> query, Array<float> out) {
  if (out.size() != wanted.size()) throw std::invalid_argument("rows and cosines differ in number");
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted.data()[i] < 0) throw std::invalid_argument("a row does not exist");
  const Rows rows{file, start, query.size()};
  nb::gil_scoped_release release;
  if (ask) ask_for(rows, wanted.data(), wanted.size());
  return cosines(rows, wanted.data(), wanted.size(), query.data(), out.data());
}

}  // namespace

NB_MODULE(_cosines, m) { m.def("cosines", cosines_of); }
