"""`scripts/finetune`: runs the steps of a project, each in its environment, and puts the voice in service."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

from pydantic import ValidationError

from finetuning import publish, starts
from finetuning.arguments import Arguments, parse
from finetuning.errors import FineTuningError
from finetuning.progress import say
from finetuning.project import Project
from finetuning.server import LocalServer
from finetuning.steps.run import STOPPED
from supervisor import gpus, weights
from supervisor.environments import ROOT
from supervisor.finetuned import FOLDER
from supervisor.settings import Settings, inherited
from tritone.catalogue import Catalogue

ENVIRONMENTS: Final[Mapping[str, str]] = {
    "prepare": "whisper",
    "check": "whisper",
    "codes": "qwen",
    "train": "qwen",
    "export": "qwen",
    "evaluate": "qwen",
}
"""The environment of each step that is a process of its own."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)
_HEARING: Final = ("silero-vad", "speaker-embedding")
_SERVE: Final = str(ROOT / "scripts" / "serve")


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit status: 1 after an error, which is one line, 130 after Ctrl-C."""
    asked = parse(arguments)
    try:
        return Command(asked, Settings()).run()
    except FineTuningError as error:
        print(f"{asked.name}: {error}", file=sys.stderr)
    except ValidationError as error:
        print("; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()), file=sys.stderr)
    except OSError as error:
        print(f"{asked.name}: {error.strerror}: {error.filename}: make room, or name another folder", file=sys.stderr)
    except KeyboardInterrupt:
        return STOPPED
    return 1


class Command:
    """One call of `scripts/finetune`."""

    def __init__(self, asked: Arguments, settings: Settings) -> None:
        self._asked = asked
        self._model_dir = settings.model_dir.resolve()
        self._environ = inherited()
        self._server = LocalServer(settings, self._environ)
        self._catalogue = Catalogue.load(self._environ)

    def run(self) -> int:
        """Run the steps; returns the exit status of the first that fails."""
        asked = self._asked
        self._check_name()
        publish.finish_removed(self._model_dir)
        if asked.delete:
            return self._delete()
        if not asked.given.get("recordings") and "prepare" in asked.steps and not asked.folder.exists():
            raise FineTuningError(f"name the recordings: scripts/finetune {asked.name} RECORDINGS")
        if "serve" in asked.steps:  # now, not after hours of training
            self._check_served()
        if asked.folder.exists() or "prepare" in asked.steps:
            project = Project.begin(asked.folder, self._model_dir, asked.given)
        else:
            project = Project.open(asked.folder, self._model_dir)
        project = self._with_whisper(project)
        self._fetch(project)
        for step in asked.steps:
            if step == "serve":
                self._serve(project)
            elif status := self._step(step):
                return status
        return 0

    def _check_name(self) -> None:
        name = self._asked.name
        if not _NAME.fullmatch(name):
            raise FineTuningError("a name has letters, digits, '.', '_' and '-', and begins with a letter or a digit")
        if name in self._catalogue.models or name in self._catalogue.aliases:
            raise FineTuningError("this is the name of a published model: choose another")

    def _check_served(self) -> None:
        """Raise `FineTuningError` if the server that runs has another model of this name."""
        name = self._asked.name
        if name in (self._server.models() or ()) and not (self._model_dir / FOLDER / name).exists():
            raise FineTuningError(f"the server at {self._server.url} serves another model of this name: choose another")

    def _with_whisper(self, project: Project) -> Project:
        """Return the project with the model that transcribes: that of its options, or the best that is there."""
        if project.options.whisper:
            return project
        best = [self._catalogue.models[id_] for id_ in self._catalogue.aliases["whisper-1"]]
        present = [model for model in best if (self._model_dir / model.weights).is_dir()]
        chosen = present[0].id if present else best[0].id if self._has_gpu else best[-1].id
        return Project.begin(project.folder, self._model_dir, {"whisper": chosen})

    @property
    def _has_gpu(self) -> bool:
        return self._environ.get("DEVICE") != "cpu" and gpus.present() and not gpus.hidden(self._environ)

    def _fetch(self, project: Project) -> None:
        """Fetch the weights that the steps need and MODEL_DIR lacks. Raises `FineTuningError`."""
        wanted: list[str] = []
        if {"prepare", "check", "train", "evaluate"} & set(self._asked.steps):
            wanted += _HEARING
            model = self._catalogue.models.get(project.options.whisper)
            wanted += [model.weights] if model else []
        if {"codes", "train"} & set(self._asked.steps):
            start = starts.choose(project.options, self._model_dir, gpu=self._has_gpu, environ=self._environ)
            wanted += start.weights
        for name in dict.fromkeys(wanted):
            fetch = ("supervisor", "supervisor.weights", "--model-dir", str(self._model_dir), name)
            if weights.missing(self._model_dir, [name]) and self._child(*fetch):
                raise FineTuningError(f"{name} could not be fetched into {self._model_dir}: see the lines above")

    def _step(self, step: str) -> int:
        if step == "train" and self._asked.again:
            shutil.rmtree(self._asked.folder / "run", ignore_errors=True)
        return self._child(ENVIRONMENTS[step], f"finetuning.steps.{step}", str(self._asked.folder))

    def _child(self, environment: str, module: str, *arguments: str) -> int:
        """Run a module in an environment, pass the first Ctrl-C on to it, and return its exit status."""
        command = [sys.executable, "-m", "supervisor.environments", environment, "-m", module, *arguments]
        variables = {**self._environ, "MODEL_DIR": str(self._model_dir)}
        # In a group of its own, so that Ctrl-C reaches it once.
        child = subprocess.Popen(command, cwd=ROOT, env=variables, process_group=0)
        stopping = False

        def stop(_signal: int, _frame: FrameType | None) -> None:
            nonlocal stopping
            if not stopping:
                stopping = True
                child.send_signal(signal.SIGINT)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            status = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if stopping:
            raise KeyboardInterrupt
        return status if status >= 0 else 1

    def _serve(self, project: Project) -> None:
        """Put the voice in service: at the server that runs, or at the next start."""
        name = project.name
        models = self._server.models()
        place = publish.publish(project.checkpoint, self._model_dir, name)
        if models is None:
            say(f"serve: the voice is in {place}, and no server runs at {self._server.url}")
            if self._asked.steps == ("serve",):
                sys.stdout.flush()
                os.execve(_SERVE, [_SERVE], dict(self._environ))  # noqa: S606 - our own program
            say("serve: this serves it: scripts/serve")
            return
        self._server.wait_until_served(name, before=models.get(name))
        body = json.dumps({"model": name, "voice": project.speaker, "input": "Good morning.", "response_format": "mp3"})
        say(f"serve: {name} is served at {self._server.url}; try it:")
        say(f"  curl {self._server.url}/v1/audio/speech -H 'Content-Type: application/json' -d '{body}' -o {name}.mp3")

    def _delete(self) -> int:
        publish.remove(self._model_dir, self._asked.name)
        if self._server.models() is not None:
            self._server.wait_until_gone(self._asked.name)
        kept = f"; its recordings and its training stay in {self._asked.folder}" if self._asked.folder.exists() else ""
        say(f"{self._asked.name} is not served any more{kept}")
        return 0
