// Rows of a lattice, [rows, channels] floats, shared by a team's threads.
#pragma once
#include "filter.h"

namespace crf {

// This thread's part of the rows to zero.
void clear(float* rows, size_t row_floats, const Lattice& lattice, int thread, int threads);

// Blurs rows along all axes, or along all in the reverse order. `vectors` 0 means rows of one float.
void blur(const Filter& filter, const Lattice& lattice, float* rows, int vectors, bool reverse, int thread, Team& team);

}  // namespace crf
