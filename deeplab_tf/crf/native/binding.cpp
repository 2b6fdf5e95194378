// Python's door to the engine: kernels over a picture or over features, then `infer` and `filter` as often as wanted.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "engine.h"

namespace py = pybind11;

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Bytes = py::array_t<uint8_t, py::array::c_style>;
using Workspace = std::shared_ptr<crf::Pool>;
using Term = std::pair<float, std::optional<Floats>>;  // weight; cost [classes] or [classes, classes], None: Potts

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

std::unique_ptr<crf::Kernels> kernels_of_picture(Bytes image, float sigma_alpha, float sigma_beta, float sigma_gamma,
                                                 const std::string& normalization, int threads, const Workspace& workspace,
                                                 double memory_limit) {
  require(image.ndim() == 3 && image.shape(2) == 3 && image.size() > 0, "image: expected [height, width, 3].");
  require(image.shape(0) * image.shape(1) < (int64_t(1) << 28), "image: more than 2^28 pixels.");
  require(sigma_alpha > 0 && sigma_beta > 0 && sigma_gamma > 0, "sigmas: expected numbers above 0.");
  const int height = int(image.shape(0)), width = int(image.shape(1));
  crf::Kernels::Kind bilateral, position;
  bilateral.features.dims = 5;
  bilateral.features.image = image.data();
  bilateral.features.sigma_position = sigma_alpha;
  bilateral.features.sigma_colour = sigma_beta;
  position.features.dims = 2;
  position.features.sigma_position = sigma_gamma;
  bilateral.normalization = position.normalization = normalization_named(normalization);
  py::gil_scoped_release release;
  const int used = crf::usable_threads(threads, size_t(height) * width, height);
  return std::make_unique<crf::Kernels>(crf::Walk::over_picture(height, width, used),
                                        std::vector<crf::Kernels::Kind>{bilateral, position}, workspace, memory_limit);
}

std::unique_ptr<crf::Kernels> kernels_of_features(const std::vector<Floats>& features,
                                                  const std::vector<std::string>& normalizations, int threads,
                                                  const Workspace& workspace, double memory_limit) {
  require(!features.empty() && features.size() == normalizations.size(), "features: expected one normalization for each.");
  std::vector<crf::Kernels::Kind> kinds;
  for (size_t k = 0; k < features.size(); ++k) {
    const Floats& one = features[k];
    require(one.ndim() == 2 && one.shape(0) > 0 && one.shape(0) == features[0].shape(0),
            "features: expected [pixels, dimensions], with the same pixels for all kernels.");
    require(one.shape(1) >= 1 && one.shape(1) <= crf::kMostDims, "features: expected 1 to 12 dimensions.");
    require(one.shape(0) < (int64_t(1) << 28) && one.shape(0) * (one.shape(1) + 1) < (int64_t(1) << 30),
            "features: more than 2^28 pixels.");
    crf::Kernels::Kind kind;
    kind.features.dims = int(one.shape(1));
    kind.features.values = one.data();
    kind.normalization = normalization_named(normalizations[k]);
    kinds.push_back(kind);
  }
  py::gil_scoped_release release;
  const size_t pixels = size_t(features[0].shape(0));
  return std::make_unique<crf::Kernels>(crf::Walk::over_samples(pixels, crf::usable_threads(threads, pixels, pixels)), kinds,
                                        workspace, memory_limit);
}

std::vector<crf::Kernels::Term> checked_terms(const std::vector<Term>& given, int kernels, py::ssize_t classes) {
  require(int(given.size()) == kernels, "terms: expected one for each kernel.");
  std::vector<crf::Kernels::Term> terms;
  for (const auto& [weight, cost] : given) {
    crf::Kernels::Term term;
    term.weight = weight;
    if (cost) {
      require((cost->ndim() == 1 || (cost->ndim() == 2 && cost->shape(0) == classes)) &&
                  cost->shape(cost->ndim() - 1) == classes,
              "compatibility: expected [classes] or [classes, classes].");
      term.cost = cost->data();
      term.diagonal = cost->ndim() == 1;
    }
    terms.push_back(term);
  }
  return terms;
}

// Beliefs of the shape of `values`, [..., classes], or None where a probability is NaN or out of 0..1.
py::object infer(const crf::Kernels& kernels, Floats values, bool probabilities, const std::vector<Term>& terms,
                 int iterations, double prune, const std::optional<Floats>& start, std::optional<Floats>& score_trace,
                 std::optional<Floats>& belief_trace) {
  const py::ssize_t classes = values.ndim() ? values.shape(values.ndim() - 1) : 0;
  require(classes > 0 && values.size() == py::ssize_t(kernels.pixels()) * classes,
          "values: expected [..., classes] with a row for each pixel.");
  require(iterations >= 0, "iterations: expected a number >= 0.");
  require(!start || start->size() == values.size(), "start: expected the shape of values.");
  require(!score_trace == !belief_trace, "trace: expected both maps or none.");
  for (const auto* trace : {&score_trace, &belief_trace})
    require(!*trace || (*trace)->size() == (iterations + 1) * values.size(), "trace: wrong size.");
  Floats beliefs(std::vector<py::ssize_t>(values.shape(), values.shape() + values.ndim()));
  crf::Kernels::Request request;
  request.values = values.data();
  request.probabilities = probabilities;
  request.classes = int(classes);
  request.terms = checked_terms(terms, kernels.count(), classes);
  request.iterations = iterations;
  request.prune = prune;
  request.start = start ? start->data() : nullptr;
  request.beliefs = beliefs.mutable_data();
  request.score_trace = score_trace ? score_trace->mutable_data() : nullptr;
  request.belief_trace = belief_trace ? belief_trace->mutable_data() : nullptr;
  bool good;
  {
    py::gil_scoped_release release;
    good = kernels.infer(request);
  }
  return good ? py::object(beliefs) : py::none();
}

Floats filter(const crf::Kernels& kernels, int kernel, Floats values, bool transpose) {
  require(kernel >= 0 && kernel < kernels.count(), "kernel: no such one.");
  require(values.ndim() == 2 && values.shape(0) == py::ssize_t(kernels.pixels()) && values.shape(1) > 0,
          "values: expected [pixels, channels].");
  Floats result({values.shape(0), values.shape(1)});
  const float* from = values.data();
  float* to = result.mutable_data();
  const int channels = int(values.shape(1));
  py::gil_scoped_release release;
  kernels.filter(kernel, from, channels, transpose, to);
  return result;
}

py::object norm(const crf::Kernels& kernels, int kernel) {
  require(kernel >= 0 && kernel < kernels.count(), "kernel: no such one.");
  Floats found(py::ssize_t(kernels.pixels()));
  return kernels.read_norm(kernel, found.mutable_data()) ? py::object(found) : py::none();
}

}  // namespace

PYBIND11_MODULE(_engine, module) {
  module.doc() = "Dense CRF engine; use deeplab_tf.crf.dense_crf.DenseCRF.";
  module.attr("instruction_set") = crf::best_filter().name;
  module.attr("most_dimensions") = crf::kMostDims;
  py::class_<crf::Pool, Workspace>(module, "Workspace")
      .def(py::init<>())
      .def_property_readonly("in_use", &crf::Pool::in_use);
  py::class_<crf::Kernels>(module, "Kernels")
      .def_static("of_picture", &kernels_of_picture, py::arg("image"), py::arg("sigma_alpha"), py::arg("sigma_beta"),
                  py::arg("sigma_gamma"), py::arg("normalization"), py::arg("threads"), py::arg("workspace"),
                  py::arg("memory_limit"))
      .def_static("of_features", &kernels_of_features, py::arg("features"), py::arg("normalizations"), py::arg("threads"),
                  py::arg("workspace"), py::arg("memory_limit"))
      .def("infer", &infer, py::arg("values"), py::arg("probabilities"), py::arg("terms"), py::arg("iterations"),
           py::arg("prune") = 0.0, py::arg("start") = py::none(), py::arg("score_trace") = py::none(), py::arg("belief_trace") = py::none())
      .def("filter", &filter, py::arg("kernel"), py::arg("values"), py::arg("transpose") = false)
      .def("norm", &norm, py::arg("kernel"))
      .def_property_readonly("points", [](const crf::Kernels& kernels) {
        std::vector<size_t> points;
        for (int k = 0; k < kernels.count(); ++k) points.push_back(kernels.points(k));
        return points;
      })
      .def_property_readonly("reach", [](const crf::Kernels& kernels) {
        std::vector<float> reach;
        for (int k = 0; k < kernels.count(); ++k) reach.push_back(kernels.reach(k));
        return reach;
      });
}
