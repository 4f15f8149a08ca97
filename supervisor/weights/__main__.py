"""The command line of `scripts/fetch_models`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

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
from tritone.checkpoints import UnusableCheckpointError
from tritone.families import FamilyFileError
from tritone.settings import UnusableSettingError

_ALWAYS = ("supervisor", "gateway", "triton")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, list, verify or pack weights. Returns the exit status, 1 if files are missing in the end."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the scratch folder is removed
    try:
        settings = Settings()
        model_dir = options.model_dir or settings.model_dir
        if options.list:
            _list(model_dir, [_folder(id_) for id_ in options.ids] or list(manifest.load()))
        elif options.convert:
            conversion.convert(options.convert, model_dir, progress)
        else:
            ids = [_folder(id_) for id_ in options.ids] or _chosen(settings)
            fetch(
                model_dir,
                [*ids, *options.extras],
                progress=progress,
                verify=options.verify,
                optional=options.extras,
            )
            if options.bundle:
                bundle.write(options.bundle, model_dir, ids, _requirements(ids), progress)
            done = f"{', '.join(ids)}: complete in {model_dir}"
            progress.info(done if ids else "nothing to fetch: settings name a checkpoint for every chosen model")
    except AbsentError as error:
        if not options.optional:  # the reasons are in the lines above
            progress.info(str(error))
        return 1
    except (FamilyFileError, FetchError, UnknownModelError, UnusableCheckpointError, UnusableSettingError) as error:
        progress.info(str(error))
        return 1
    except ValidationError as error:
        progress.info("; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
        return 1
    except KeyboardInterrupt:
        progress.info("stopped; run this again to continue")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fetch_models",
        description="Fetch the models' weights into MODEL_DIR, each file checked against its sha256.",
        epilog="Settings: those of scripts/serve, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, TRITONE_CACHE.",
    )
    parser.add_argument("ids", nargs="*", help="models to fetch; by default those that scripts/serve would load here")
    parser.add_argument("--model-dir", type=Path, help="the folder to fill instead of MODEL_DIR")
    parser.add_argument("--list", action="store_true", help="list the state of all weights, fetch nothing")
    parser.add_argument(
        "--verify", action="store_true", help="check the content of every file and replace damaged ones"
    )
    parser.add_argument("--optional", action="store_true", help="do not list files that no source serves")
    parser.add_argument(
        "--extras", nargs="+", default=[], metavar="ID", help="further weights, whose files may be missing in the end"
    )
    parser.add_argument(
        "--convert", type=Path, metavar="FOLDER", help="convert a checkpoint to the format that its family loads"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE", help="pack weights and packages for a machine without a network"
    )
    return parser


def _chosen(settings: Settings) -> list[str]:
    """Return the manifest's ids for the models that scripts/serve would choose now."""
    plan = Plan.make(settings)
    return [*wanted(plan.models, plan.catalogue, inherited()), *extras(plan.models)]


def _folder(name: str) -> str:
    """Return the manifest's id for `name`, which may be a model's id as well."""
    model = Catalogue.load(inherited()).models.get(name)
    return model.weights if model else name


def _list(model_dir: Path, ids: Sequence[str]) -> None:
    known = manifest.load()
    for id_ in ids:
        count = len(missing(model_dir, [id_]))
        state = f"{count} of {len(known[id_].files)} files missing" if count else "complete"
        print(f"{id_:32} {known[id_].size / 1e6:7.1f} MB  {state:24}  {known[id_].licence}")


def _requirements(ids: Sequence[str]) -> list[Path]:
    catalogue = Catalogue.load(inherited())
    models = [model for model in catalogue.models.values() if model.weights in ids]
    environments = [model.environment for model in (*models, *catalogue.companions_of(models))]
    return [file for name in dict.fromkeys((*_ALWAYS, *environments)) for file in Environment(name).files]


if __name__ == "__main__":
    sys.exit(main())
