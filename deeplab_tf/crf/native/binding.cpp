// Python's door to the engine: `Kernels(image, ...)`, then `infer(values, ...)` as often as wanted.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "engine.h"

namespace py = pybind11;

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Bytes = py::array_t<uint8_t, py::array::c_style>;

crf::Normalization normalization_named(const std::string& name) {
  if (name == "symmetric") return crf::Normalization::kSymmetric;
  if (name == "after") return crf::Normalization::kAfter;
  if (name == "before") return crf::Normalization::kBefore;
  if (name == "none") return crf::Normalization::kNone;
  throw std::invalid_argument("normalization: got '" + name + "', expected symmetric, after, before or none.");
}

void require(bool holds, const char* message) {
  if (!holds) throw std::invalid_argument(message);
}

class PyKernels {
 public:
  PyKernels(Bytes image, float sigma_alpha, float sigma_beta, float sigma_gamma, const std::string& normalization,
            int threads, const std::shared_ptr<crf::Pool>& workspace) {
    require(image.ndim() == 3 && image.shape(2) == 3 && image.size() > 0, "image: expected [height, width, 3].");
    require(image.shape(0) * image.shape(1) < (int64_t(1) << 28), "image: more than 2^28 pixels.");
    require(sigma_alpha > 0 && sigma_beta > 0 && sigma_gamma > 0, "sigmas: expected numbers above 0.");
    const crf::Normalization mode = normalization_named(normalization);
    height_ = image.shape(0);
    width_ = image.shape(1);
    const uint8_t* pixels = image.data();
    py::gil_scoped_release release;
    kernels_ = std::make_unique<crf::Kernels>(pixels, int(height_), int(width_), sigma_alpha, sigma_beta, sigma_gamma,
                                              mode, threads, workspace);
  }

  // Beliefs, or None where a probability is NaN or out of 0..1.
  py::object infer(Floats values, bool probabilities, float w1, float w2, int iterations,
                   const std::optional<Floats>& compatibility, std::optional<Floats>& score_trace,
                   std::optional<Floats>& belief_trace) const {
    require(values.ndim() == 3 && values.shape(0) == height_ && values.shape(1) == width_ && values.shape(2) > 0,
            "values: expected [height, width, classes] of the picture's size.");
    const py::ssize_t classes = values.shape(2);
    require(iterations >= 0, "iterations: expected a number >= 0.");
    require(!compatibility || (compatibility->ndim() == 2 && compatibility->shape(0) == classes &&
                               compatibility->shape(1) == classes),
            "compatibility: expected [classes, classes].");
    require(!score_trace == !belief_trace, "trace: expected both maps or none.");
    for (const auto* trace : {&score_trace, &belief_trace})
      require(!*trace || (*trace)->size() == (iterations + 1) * values.size(), "trace: wrong size.");
    Floats beliefs({height_, width_, classes});
    crf::Kernels::Request request;
    request.values = values.data();
    request.probabilities = probabilities;
    request.classes = int(classes);
    request.w1 = w1;
    request.w2 = w2;
    request.iterations = iterations;
    request.compatibility = compatibility ? compatibility->data() : nullptr;
    request.beliefs = beliefs.mutable_data();
    request.score_trace = score_trace ? score_trace->mutable_data() : nullptr;
    request.belief_trace = belief_trace ? belief_trace->mutable_data() : nullptr;
    bool good;
    {
      py::gil_scoped_release release;
      good = kernels_->infer(request);
    }
    return good ? py::object(beliefs) : py::none();
  }

  py::tuple points() const { return py::make_tuple(kernels_->points(0), kernels_->points(1)); }

 private:
  py::ssize_t height_ = 0, width_ = 0;
  std::unique_ptr<crf::Kernels> kernels_;
};

}  // namespace

PYBIND11_MODULE(_engine, module) {
  module.doc() = "Dense CRF engine; use deeplab_tf.crf.dense_crf.DenseCRF.";
  module.attr("instruction_set") = crf::best_filter().name;
  py::class_<crf::Pool, std::shared_ptr<crf::Pool>>(module, "Workspace").def(py::init<>());
  py::class_<PyKernels>(module, "Kernels")
      .def(py::init<Bytes, float, float, float, const std::string&, int,
                    const std::shared_ptr<crf::Pool>&>(), py::arg("image"), py::arg("sigma_alpha"),
           py::arg("sigma_beta"), py::arg("sigma_gamma"), py::arg("normalization"), py::arg("threads"),
           py::arg("workspace"))
      .def("infer", &PyKernels::infer, py::arg("values"), py::arg("probabilities"), py::arg("w1"), py::arg("w2"),
           py::arg("iterations"), py::arg("compatibility") = py::none(), py::arg("score_trace") = py::none(),
           py::arg("belief_trace") = py::none())
      .def_property_readonly("points", &PyKernels::points);
}
