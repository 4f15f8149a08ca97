"""What `scripts/fetch_models` runs."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from adapters.qwen3_tts.checkpoint import UnusableCheckpointError
from adapters.settings import UnusableSettingError
from supervisor.environments import Environment
from supervisor.plan import Plan
from supervisor.settings import Settings, inherited
from supervisor.weights import (
    AbsentError,
    FetchError,
    Progress,
    bundle,
    conversion,
    extras,
    fetch,
    manifest,
    missing,
    wanted,
)
from tritone.catalogue import Catalogue, UnknownModelError

_ALWAYS = ("supervisor", "gateway", "triton")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, list, verify or pack weights; the exit status, 1 where something is missing in the end."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # either way the scratch folder is cleared
    try:
        settings = Settings()
        model_dir = options.model_dir or settings.model_dir
        if options.list:
            _list(model_dir, [_folder(id_) for id_ in options.ids] or list(manifest.load()))
        elif options.convert:
            conversion.convert(options.convert, model_dir, progress)
        else:
            ids = [_folder(id_) for id_ in options.ids] or _chosen(settings)
            fetch(model_dir, ids, progress=progress, verify=options.verify)
            if options.bundle:
                bundle.write(options.bundle, model_dir, ids, _requirements(ids), progress)
            whole = f"{', '.join(ids)}: complete in {model_dir}"
            progress.say(whole if ids else "nothing to fetch: the settings name the checkpoints of what they choose")
    except AbsentError as error:
        if not options.optional:  # why no source served them was told above
            progress.say(str(error))
        return 1
    except (FetchError, UnknownModelError, UnusableCheckpointError, UnusableSettingError) as error:
        progress.say(str(error))
        return 1
    except ValidationError as error:
        progress.say("; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
        return 1
    except KeyboardInterrupt:
        progress.say("stopped; run this again to go on")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fetch_models",
        description="Fetch the models' weights into MODEL_DIR, each file checked against its sha256.",
        epilog="Settings: MODEL_DIR, TTS_MODES, STT_MODELS, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, TRITONE_CACHE.",
    )
    parser.add_argument("ids", nargs="*", help="what to fetch; else what TTS_MODES and STT_MODELS choose")
    parser.add_argument("--model-dir", type=Path, help="the folder to fill, in place of MODEL_DIR")
    parser.add_argument("--list", action="store_true", help="say what there is, fetch nothing")
    parser.add_argument("--verify", action="store_true", help="read every file whole and replace damaged ones")
    parser.add_argument("--optional", action="store_true", help="where files cannot be had, do not list them")
    parser.add_argument(
        "--convert", type=Path, metavar="FOLDER", help="convert a Whisper checkpoint of Hugging Face's format"
    )
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="pack all for a machine without network")
    return parser


def _chosen(settings: Settings) -> list[str]:
    """All that the settings' models can make use of."""
    models = Plan.make(settings).models
    return [*wanted(models, inherited()), *extras(models)]


def _folder(name: str) -> str:
    """The manifest's id of a model, which may be called by its own too."""
    model = Catalogue.load().models.get(name)
    return model.folder if model else name


def _list(model_dir: Path, ids: Sequence[str]) -> None:
    known = manifest.load()
    for id_ in ids:
        lacking = len(missing(model_dir, [id_]))
        state = f"{lacking} of {len(known[id_].files)} files missing" if lacking else "here"
        print(f"{id_:32} {known[id_].size / 1e6:7.1f} MB  {state:24}  {known[id_].licence}")


def _requirements(ids: Sequence[str]) -> list[Path]:
    environments = {model.folder: model.environment for model in Catalogue.load().models.values()}
    names = dict.fromkeys((*_ALWAYS, *(environments[id_] for id_ in ids if id_ in environments)))
    return [file for name in names for file in Environment(name).files]


if __name__ == "__main__":
    sys.exit(main())
