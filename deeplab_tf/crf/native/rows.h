// Rows of a lattice, [rows, channels] floats, shared by a team's threads.
#pragma once
#include "filter.h"

namespace crf {

// This thread's part of the rows to zero.
void clear(float* rows, size_t row_floats, const Lattice& lattice, int thread, int threads);

// Blurs rows (and spare, of the same size) along all axes, or along all in the reverse order; returns which of the two
// holds the result. `vectors` 0 means rows of one float.
float* blur(const Filter& filter, const Lattice& lattice, float* rows, float* spare, int vectors, bool reverse, int thread,
            Team& team);

}  // namespace crf
