"""A fine-tuned model behind a small web page: drop a photo, see class, confidence and heatmap.

Needs the extra `app` (Gradio). The page listens on this machine only, and neither the page nor the
server asks another host for anything.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from cvlab import profiles, transfer
from cvlab.cache import cache_root, key_of, made, sha256_of
from cvlab.data import load_pets
from cvlab.data.decoding import BadImageError
from cvlab.evaluation import calibration, predict
from cvlab.models import base_for
from cvlab.models.embedded import TOY_WEIGHTS
from cvlab.transfer import features, freezing

HOST: Final = "127.0.0.1"
# Raise it when the same drawings are to give another model.
_VERSION: Final = 1
_FILE: Final = "model.keras"
_EPOCHS: Final = 6
_SPLITS: Final = ("train", "validation")
_DRAWN: Final = (
    "Without `--model`, the page uses the course's embedded network. It was trained on "
    "**drawings**: on a real photo its answer means little."
)
# Read by Gradio and its parts when they are imported.
_PRIVATE: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}

Shown = tuple[NDArray[np.uint8] | None, str]


def load_model(file: str | Path) -> keras.Model:
    """Load a classifier of cats and dogs from a `.keras` file, without running code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold a model that can be loaded, or the model takes or returns
            something else than `predict.predict_file` needs.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no model {path}: write one with `model.save('pets.keras')`, and pass its "
            "path with --model"
        )
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for files that are not its own
        raise ValueError(
            f"{path} does not hold a model that Keras can load: pass a .keras file that "
            f"`model.save` wrote. Keras reports: {error}"
        ) from error
    predict.image_size(model)
    return model


def drawn_model() -> keras.Model:
    """Return the embedded base with its last block fine-tuned on drawings, calibrated.

    The first call trains it, in about a minute, and keeps it in the cache.
    """
    profile = profiles.get("quick")
    pets = load_pets(profile, image_size=profile.base_image_size)
    key = key_of([_VERSION, keras.__version__, sha256_of(TOY_WEIGHTS), pets.folder.name])
    folder = cache_root() / "app" / key

    def write(unfinished: Path) -> None:
        print("The first start trains a model on drawings. This takes about a minute.", flush=True)
        _tuned(profile, pets).save(unfinished / _FILE)

    made(folder, write, needed=5 * 10**6, purpose="the model of the app")
    return load_model(folder / _FILE)


def _tuned(profile: profiles.Profile, pets: Any) -> keras.Model:
    """Train head and last block from the freeze boundary, and fit the temperature on validation."""
    keras.utils.set_random_seed(0)
    base = base_for(profile)
    first = transfer.last_block(base)
    freezing.unfreeze_from(base, first)
    lower, upper = transfer.split(base, first)
    head = transfer.pooled_head(base.output_shape[1:])
    trained = keras.Sequential([keras.Input(lower.output_shape[1:]), upper, head])
    inputs = {name: features.extract(getattr(pets, name).images, lower) for name in _SPLITS}
    labels = {name: getattr(pets, name).labels.astype(np.float32) for name in _SPLITS}
    keep = keras.callbacks.EarlyStopping(patience=_EPOCHS, restore_best_weights=True)
    # A new head learns faster than a pretrained block may.
    for trains, rate in (
        (False, profile.pooled_learning_rate),
        (True, profile.tuning_learning_rate),
    ):
        upper.trainable = trains
        trained.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
        trained.fit(
            inputs["train"],
            labels["train"],
            batch_size=profile.transfer_batch_size,
            epochs=_EPOCHS,
            validation_data=(inputs["validation"], labels["validation"]),
            callbacks=[keep],
            verbose=0,
        )
    logits = predict.logits(trained.predict(inputs["validation"], verbose=0))
    temperature = calibration.fit_temperature(logits, labels["validation"])
    whole = keras.Sequential([keras.Input(base.input_shape[1:]), base, head])
    return predict.fold_temperature(whole, temperature)


def answer(model: keras.Model, file: str | None, temperature: float = 1.0) -> Shown:
    """Return what the page shows for one file.

    Args:
        model: As for `predict.predict_file`.
        file: Path of the file that was dropped; None after it was removed.
        temperature: As for `predict.predict_file`.

    Returns:
        The photo with its heatmap, and class and confidence in Markdown. If the file cannot be
        used, None and a message that says why.
    """
    if not file:
        return None, ""
    try:
        found = predict.predict_file(model, file, temperature=temperature)
    except (BadImageError, FileNotFoundError) as error:
        return None, f"**No prediction.** {_plain(str(error))}"
    return found.overlay, f"## {found.name}\n\nConfidence: {100 * found.probability:.1f} %"


def _plain(text: str) -> str:
    """Escape what Markdown or HTML would take for markup: a file name comes from outside."""
    return re.sub(r"[^\w .,:;%()/'-]|_", lambda found: f"&#{ord(found[0])};", text)


def page(model: keras.Model, about: str, temperature: float = 1.0) -> Any:
    """Build the page.

    Args:
        model: As for `predict.predict_file`.
        about: What the page says about the model, in Markdown.
        temperature: As for `predict.predict_file`.

    Returns:
        The page, a `gradio.Blocks`.

    Raises:
        RuntimeError: If Gradio is not installed.
    """
    os.environ |= _PRIVATE
    try:
        import gradio as gr  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError(
            "The app needs Gradio. Install the extra `app` into the environment of the course: "
            "`pip install -e '.[app]'`, or `.venv/bin/pip install -e '.[app]'` if you use make"
        ) from error
    limit = predict.MAX_BYTES // 2**20
    with gr.Blocks(title="Cat or dog?", analytics_enabled=False, delete_cache=(60, 600)) as blocks:
        gr.Markdown(f"# Cat or dog?\n\nDrop a photo. {about}")
        with gr.Row():
            with gr.Column():
                dropped = gr.File(
                    label=f"JPEG, PNG or WebP, up to {limit} MB",
                    type="filepath",
                    elem_id="photo",
                )
                message = gr.Markdown(elem_id="message")
            shown = gr.Image(
                label="What drove the prediction (Grad-CAM)",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],  # the third, "share", uploads the image
                elem_id="heatmap",
            )
        dropped.change(
            lambda file: answer(model, file, temperature),
            inputs=dropped,
            outputs=[shown, message],
            api_visibility="private",
        )
    return blocks


def serve(model_file: str | None, port: int | None, temperature: float = 1.0) -> None:
    """Show the page until the process is interrupted.

    Args:
        model_file: A `.keras` file; None for the embedded network, fine-tuned on drawings.
        port: Of the page; None for the first free one from 7860 on.
        temperature: Divides the logit, if it is not part of the model.

    Raises:
        FileNotFoundError: See `load_model`.
        ValueError: See `load_model`.
        RuntimeError: If Gradio is not installed, or the port is in use.
    """
    with tempfile.TemporaryDirectory(prefix="cvlab-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # what was dropped is gone when the page is closed
        model = load_model(model_file) if model_file else drawn_model()
        about = f"Model: `{Path(model_file).name}`" if model_file else _DRAWN
        blocks = page(model, about, temperature)
        import gradio as gr  # noqa: PLC0415

        try:
            blocks.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                max_file_size=predict.MAX_BYTES,
                ssr_mode=False,
                pwa=False,
                footer_links=[],
                # Gradio's own themes load their fonts from Google.
                theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            )
        except OSError as error:
            raise RuntimeError(f"Port {port} is in use: name another one with --port") from error
