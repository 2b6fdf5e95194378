# Three images from one file; `docker build` is not part of the tests.
#
#   docker build --target page    -t deeplab-page .      every door, and the page:
#     docker run -p 7860:7860 -v $PWD/runs:/runs deeplab-page --workdir=/runs/mine
#     docker run -v $PWD:/here -w /here --entrypoint python deeplab-page -m deeplab_tf.predict --workdir=runs/mine --out=labels *.jpg
#   docker build --target worker  -t deeplab-worker .    Beam's workers, pushed to where the runner finds it:
#     python -m deeplab_tf.pipeline … --runner=DataflowRunner -- --sdk_container_image=REGISTRY/deeplab-worker
#   docker build --target serving --build-arg MODEL=saved_model -t deeplab-serving .    an exported network in TensorFlow Serving:
#     docker run -p 8501:8501 deeplab-serving      and POST to /v1/models/deeplab:predict

FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim AS page
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/deeplab_tf-*.whl)[web,video]" && rm -r /wheels && useradd --create-home deeplab
USER deeplab
WORKDIR /home/deeplab
EXPOSE 7860
# In a container the whole address space is the container's; -p says who reaches it.
ENTRYPOINT ["python", "-m", "deeplab_tf.web", "--host=0.0.0.0"]

# The version is that of the apache-beam which starts the pipeline. The entry point is Beam's own.
FROM apache/beam_python3.12_sdk:2.77.0 AS worker
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/deeplab_tf-*.whl)[beam]" && rm -r /wheels

FROM tensorflow/serving:2.19.1 AS serving
ARG MODEL=saved_model
ENV MODEL_NAME=deeplab TF_ENABLE_ONEDNN_OPTS=1 TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1
COPY ${MODEL} /models/deeplab/1
