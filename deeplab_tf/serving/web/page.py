"""The page itself: controls, what they call, and how it is served. The only file that knows gradio."""

from __future__ import annotations

import base64
import dataclasses
import functools
import importlib.resources
import os
import pathlib
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence

from deeplab_tf.crf.params import NORMALIZATIONS, PRESETS, CrfParams
from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed
from deeplab_tf.inference.label_files import LabelFiles, Prediction, shares
from deeplab_tf.serving.segmenter import Segmenter
from deeplab_tf.serving.web import example
from deeplab_tf.serving.web.desk import BEFORES, VIEWS, Desk
from deeplab_tf.serving.web.guard import Guard
from deeplab_tf.serving.web.limits import ENDINGS, Limits

_SLIDERS = {  # least, most, step, what it does
    "w1": (0, 20, 0.5, "weight of colour and place"),
    "sigma_alpha": (1, 200, 1, "its reach in pixels"),
    "sigma_beta": (1, 50, 0.5, "its tolerance in grey levels"),
    "w2": (0, 20, 0.5, "weight of place alone"),
    "sigma_gamma": (0.5, 20, 0.5, "its reach in pixels"),
    "iterations": (0, 20, 1, "of mean field"),
}
_KEPT_SECONDS = 1800  # for which an uploaded or written file stays
_ABOUT = """# DeepLab v2
Drop pictures, choose a network, and move the parameters of the dense CRF: the labels follow."""


def serve(
    networks: Sequence[Segmenter], params: CrfParams, refine: bool, *, limits: Limits, host: str = "127.0.0.1",
    port: int = 7860,
) -> None:  # fmt: skip
    """Serves the page until Ctrl-C.

    Args:
      networks: to choose from; the rendered example is added behind them.
      params: where the sliders stand first.
      refine: whether the CRF is on first.
      limits: of what is taken in.
      host: address to bind to; 0.0.0.0 shows the page to the whole network.
      port: its port; 0: any that is free.

    Raises:
      UserError: gradio is not installed, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_web_") as folder:
        gradio = _gradio(folder)
        page = build(gradio, Desk([*networks, example.made_scores()], limits), params, refine, pathlib.Path(folder))
        page.queue(max_size=limits.queue, default_concurrency_limit=2, status_update_rate=1)
        css = (importlib.resources.files("deeplab_tf.pages") / "templates" / "web.css").read_text(encoding="utf-8")
        theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        try:
            page.launch(
                server_name=host, server_port=port or _free_port(host), theme=theme, css=css, share=False, quiet=True,
                show_error=True, max_file_size=int(limits.megabytes * 1e6), allowed_paths=[], footer_links=[], ssr_mode=False,
                state_session_capacity=100, prevent_thread_lock=True, app_kwargs={"middleware": [_guard()]},
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"--port={port}: is taken on {host}, or not allowed; give another --port or --host.") from error
        print(f"the page is at http://{host}:{page.server_port} (Ctrl-C ends it)", flush=True)
        page.block_thread()


def _gradio(folder: str):
    """gradio, which takes these settings from the environment only, and some at import."""
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False")
    return needed("gradio", "web", "the page")


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def _guard():
    from starlette.middleware import Middleware  # comes with gradio

    return Middleware(Guard)


def build(gr, desk: Desk, params: CrfParams, refine: bool, folder: pathlib.Path):
    """The page as a gradio.Blocks; `folder` takes what it writes."""
    networks, scenes = list(desk.networks), list(example.SCENES)
    saying = functools.partial(_saying, gr)
    with gr.Blocks(title="DeepLab v2", analytics_enabled=False, delete_cache=(60, _KEPT_SECONDS)) as page:
        gr.Markdown(_ABOUT)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                network = gr.Dropdown(networks, value=networks[0], label="Network", interactive=len(networks) > 1)
                uploads = gr.File(label="Pictures", file_count="multiple", file_types=list(ENDINGS), height=130)
                picture = gr.Radio(scenes, value=scenes[0], label="Picture")
                crf = gr.Checkbox(refine, label="Dense CRF")
                preset = gr.Dropdown([("", ""), *PRESETS], value="", label="Published parameters")
                sliders = [_slider(gr, name, getattr(params, name)) for name in _SLIDERS]
                normalization = gr.Radio(list(NORMALIZATIONS), value=params.normalization, label="normalization")
            with gr.Column(scale=3, min_width=300, elem_id="shown"):
                view = gr.Radio(list(VIEWS), value=VIEWS[0], label="Show", elem_id="view")
                pair = gr.ImageSlider(label="left: before, right: labels", format="jpeg", interactive=False, max_height=640,
                                      elem_id="pair")  # fmt: skip
                strip = gr.HTML(visible=False)
                said = gr.HTML()
                downloads = gr.HTML()
                with gr.Row():
                    before = gr.Radio(list(BEFORES), value=BEFORES[0], label="Left side")
                    strength = gr.Slider(0, 1, 0.5, step=0.05, label="colours over the picture")
                legend = gr.HTML()
        with gr.Accordion("A short video", open=False):
            video = gr.File(label=f"Video of up to {desk.limits.frames} frames", file_types=["video"])
            label = gr.Button("Label the video")
            labelled, table = gr.Video(label="Labels", height=420), gr.File(label="Areas by frame")

        moved = [*sliders, normalization]
        inputs = [uploads, picture, network, crf, *moved, view, before, strength]
        outputs = [pair, strip, legend, downloads, said]
        asked = dict(inputs=inputs, outputs=outputs, api_visibility="private")

        @saying
        def show(files, name, network, crf, *rest):
            *numbers, view, before, strength = rest
            shown = desk.show(files, name, network, crf, _params(numbers), view, before, strength)
            flat = shown.pair is not None
            return (gr.update(value=shown.pair, visible=flat) if flat else gr.update(visible=False),
                    gr.update(value=shown.strip, visible=not flat), shown.legend, shown.downloads, shown.sentence)  # fmt: skip

        @saying
        def label_video(path, network, crf, *numbers, progress=gr.Progress(track_tqdm=True)):  # noqa: B008
            if not path:
                raise UserError("No video is there, expected one; drop it first.")
            made = desk.video(path, network, crf, _params(numbers), _new_folder(folder))
            return [str(one) for one in made]

        page.load(show, **asked)
        uploads.change(_choices(gr, scenes), [uploads], [picture], api_visibility="private")
        gr.on([picture.change, network.change], show, trigger_mode="always_last", concurrency_id="network", **asked)
        # While a slider moves, the picture follows it; the last place it stops at is always answered.
        movable = (*sliders, strength, crf, normalization, view, before)
        gr.on([one.change for one in movable], show, trigger_mode="always_last", concurrency_id="crf", concurrency_limit=2,
              show_progress="hidden", **asked)  # fmt: skip
        preset.input(_preset(gr), [preset], moved, api_visibility="private")
        label.click(label_video, [video, network, crf, *moved], [labelled, table], api_visibility="private",
                    concurrency_id="network", concurrency_limit=1)  # fmt: skip
        _for_programs(gr, desk, saying, [network, crf, *moved])
    return page


def _for_programs(gr, desk: Desk, saying, controls) -> None:
    """`/segment` of the HTTP API: a picture file and the controls' values in; areas and the palette PNG in base64 out."""

    @saying
    def segment(file, network, crf, *numbers) -> dict:
        name = pathlib.PurePath(file or "").name
        answer, chosen = desk.answer([file] if file else (), name, network), desk.networks[network]
        labels = answer(_params(numbers)).argmax(axis=-1) if crf else answer.labels
        (png,) = LabelFiles(chosen.class_names, chosen.palette, write=("palette",)).contents(Prediction(answer.image, labels))
        return {"areas": shares(labels, chosen.class_names), "palette_png": base64.b64encode(png).decode()}

    file, answer, button = gr.File(visible=False), gr.JSON(visible=False), gr.Button(visible=False)
    button.click(segment, [file, *controls], [answer], api_name="segment", concurrency_id="network", concurrency_limit=1)


def _new_folder(folder: pathlib.Path) -> pathlib.Path:
    """For the files of one video; those of long ago go."""
    for old in folder.glob("video_*"):
        if old.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    return pathlib.Path(tempfile.mkdtemp(dir=folder, prefix="video_"))


def _slider(gr, name: str, value: float):
    least, most, step, does = _SLIDERS[name]
    return gr.Slider(min(least, value), max(most, value), value, step=step, label=name, info=does)


def _params(numbers) -> CrfParams:
    *values, normalization = numbers
    return CrfParams(**dict(zip(_SLIDERS, values, strict=True)), normalization=normalization)


def _preset(gr):
    """What the controls of the CRF are set to by a preset's name."""
    return lambda name: list(dataclasses.astuple(PRESETS[name])) if name else [gr.skip()] * (len(_SLIDERS) + 1)


def _choices(gr, scenes: list[str]):
    """The pictures to choose from, the newest chosen."""

    def choices(files):
        names = [pathlib.PurePath(file).name for file in files or ()]
        return gr.update(choices=[*names, *scenes], value=names[-1] if names else scenes[0])

    return choices


def _saying(gr, function):
    """The function, whose refusals become sentences in the page."""

    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (UserError, ValueError) as error:
            raise gr.Error(str(error), duration=None, print_exception=False, title="Not done") from error

    return called
