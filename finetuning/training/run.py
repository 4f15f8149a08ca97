"""A training run: its folder, steps, evaluations and saved states, in an order that a resumption repeats."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Chosen, Evaluated, Event, Planned, Progress, Saved, Scores, Warned
from finetuning.memory import GB, disk_needed
from finetuning.plan import TrainingPlan
from finetuning.training.batches import StepPlan
from finetuning.training.checkpoints import appearing, load_state, save_state, write_checkpoint
from finetuning.training.evaluation import Evaluation
from finetuning.training.history import choose, epochs_of, epochs_without_gain, read_history, write_history
from finetuning.training.interrupts import Interrupts
from finetuning.training.learner import Learner, learning_rate
from finetuning.training.start import Start
from finetuning.training.stepper import Stepper, make_accelerator

if TYPE_CHECKING:
    from finetuning.training.api import Judge

PLAN, STATE, PROGRESS, CHOSEN, EPOCHS, SAMPLES = (
    "plan.json",
    "state.pt",
    "progress.jsonl",
    "chosen.json",
    "epochs",
    "samples",
)
_SMOOTHING = 0.9
"""The weight of the past in the speed that is reported."""


class Run:
    """A training on this process. Only the first process of a group writes and reports."""

    def __init__(
        self,
        plan: TrainingPlan,
        dataset: Dataset,
        out: Path,
        on_event: Callable[[Event], None],
        judge: Judge | None = None,
    ) -> None:
        """Load the start, and what `out` has of the same run. Raises `FineTuningError`."""
        self._plan, self._dataset, self._out = plan, dataset, out
        self._group = make_accelerator()
        self._report = on_event if self._group.is_main_process else _ignore
        self._start = Start.read(plan.start, dataset)
        self._steps = StepPlan(plan, dataset, self._start)
        self._record = {"plan": json.loads(json.dumps(asdict(plan), default=str)), "data": dataset.hash()}
        self._open_folder()
        self._learner = Learner.make(plan, dataset, self._start, self._group.device)
        state = out / STATE
        self._step = load_state(state, self._learner) if state.exists() else 0
        self._history = [scores for scores in read_history(out) if scores.step <= self._step]
        if self._group.is_main_process:
            _drop_steps_after(self._step, out / PROGRESS)
        end = self._start.talker_config["codec_eos_token_id"]
        self._stepper = Stepper(plan, self._learner, end, self._group)
        self._evaluation = Evaluation(
            dataset,
            self._start,
            self._group.device,
            judge,
            precision=plan.precision,
            sentences=plan.sentences,
            warn=lambda text: self._report(Warned(text)),
        )
        self._saved_at = time.monotonic()

    def train(self) -> Chosen:
        """Train to the end, or until the held-out loss stops falling; return the chosen epoch."""
        trained = sum(weight.numel() for weight in self._learner.trained.values())
        self._report(Planned(self._steps.steps, self._step, trained))
        with Interrupts() as interrupts:
            try:
                while self._goes_on():
                    self._run_epoch(interrupts)
            except KeyboardInterrupt:
                self._learner.optimiser.zero_grad(set_to_none=True)
                self._save()
                raise
        chosen = self._choose()
        self._group.end_training()  # its threads would abort a process that ends with them
        return chosen

    def _goes_on(self) -> bool:
        """Judge what is due, and return whether there are steps left. The same on all processes."""
        answer = [False]
        if self._group.is_main_process:
            self._evaluate_if_due()
            patient = epochs_without_gain(self._history) < self._plan.patience
            answer = [patient and self._step < self._steps.steps]
        if self._group.num_processes > 1:
            broadcast_object_list(answer)
        return answer[0]

    def _run_epoch(self, interrupts: Interrupts) -> None:
        """Run the steps up to the next evaluation."""
        speed = _Speed()
        for step in self._steps.after(self._step):
            with interrupts.held():  # between two updates the weights and the optimiser agree
                losses = self._stepper.run(step, self._step, self._steps.steps)
                self._step += 1
            rate, seconds = speed.after(step.frames)
            progress = Progress(
                step=self._step,
                steps=self._steps.steps,
                epoch=self._steps.epochs_at(self._step),
                losses=losses,
                learning_rate=learning_rate(self._plan, self._step - 1, self._steps.steps),
                frames_per_second=rate,
                seconds_left=seconds * (self._steps.steps - self._step),
            )
            self._note(progress)
            if self._is_due(self._step):
                return
            if time.monotonic() - self._saved_at >= self._plan.save_seconds:
                self._save()
                speed.restart()

    def _is_due(self, step: int) -> bool:
        """Return whether the weights are judged after `step` steps: at the start, in parts of an epoch, at its end."""
        begin = 0
        for end in self._steps.ends:
            if step <= end:
                parts = self._plan.evaluations_per_epoch
                return step - begin in {round((end - begin) * part / parts) for part in range(parts + 1)}
            begin = end
        return False

    def _evaluate_if_due(self) -> None:
        if not self._is_due(self._step) or any(scores.step == self._step for scores in self._history):
            return
        epoch = self._steps.epochs_at(self._step)
        losses = self._evaluation.losses(self._learner.talker)
        if epoch != int(epoch):
            self._add(Scores(f"epoch {epoch:.2f}", self._step, epoch, losses))
            return
        self._save()
        number = round(epoch)
        folder = self._out / EPOCHS / str(number)
        write_checkpoint(folder, self._start, self._dataset, self._learner, {**self._record, "epoch": number})
        name = f"epoch {number}" if number else "start"
        with self._learner.off_device():  # the engine needs the memory
            judged = self._evaluation.listen(folder, self._out / SAMPLES / name.replace(" ", "-"))
            lines = [Scores(name, self._step, epoch, losses, judged)]
            if not number:
                shutil.rmtree(folder)  # it is no choice
                lines += filter(None, [self._evaluation.cloning(self._out / SAMPLES / "cloning")])
        self._add(*lines)
        self._prune()

    def _add(self, *lines: Scores) -> None:
        self._history += lines
        write_history(self._out, self._history)
        for scores in lines:
            self._report(Evaluated(scores))

    def _prune(self) -> None:
        """Delete the checkpoints of those epochs that are least likely to be chosen."""
        kept = sorted(
            epochs_of(self._history), key=lambda scores: scores.losses.talker if scores.losses else -scores.step
        )
        for scores in kept[self._plan.keep_epochs :]:
            shutil.rmtree(self._out / EPOCHS / str(round(scores.epoch)), ignore_errors=True)

    def _save(self) -> None:
        if self._group.is_main_process:
            save_state(self._out / STATE, self._step, self._learner)
            self._report(Saved(self._step, self._out / STATE))
        self._saved_at = time.monotonic()

    def _note(self, progress: Progress) -> None:
        if self._group.is_main_process:
            with (self._out / PROGRESS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(progress)) + "\n")
        self._report(progress)

    def _choose(self) -> Chosen:
        answer: list[Any] = [None]
        if self._group.is_main_process:
            kept = {int(path.name) for path in (self._out / EPOCHS).iterdir() if path.name.isdigit()}
            chosen = choose(self._history, kept)
            with appearing(self._out / CHOSEN) as fresh:
                fresh.write_text(json.dumps(asdict(chosen), indent=2), encoding="utf-8")
            self._report(chosen)
            answer = [chosen]
        if self._group.num_processes > 1:
            broadcast_object_list(answer)
        made: Chosen = answer[0]
        return made

    def _open_folder(self) -> None:
        """Create the folder, or check that it is of the same plan and data."""
        path = self._out / PLAN
        if path.exists():
            former: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            plan = self._record["plan"]
            changed = [name for name, value in plan.items() if former["plan"].get(name) != value]
            if former["data"] != self._record["data"]:
                changed.append("the data set")
            if changed:
                raise FineTuningError(
                    f"{self._out} has a run with another {', '.join(changed)}: delete it, or choose another folder"
                )
        elif self._group.is_main_process:
            self._out.mkdir(parents=True, exist_ok=True)
            needed, free = disk_needed(self._plan), shutil.disk_usage(self._out).free
            if free < needed:
                raise FineTuningError(
                    f"{self._out}: {free / GB:.1f} GB are free and the run needs {needed / GB:.1f}: free some, choose "
                    "another disk, or train with lora, whose states are small"
                )
            with appearing(path) as fresh:
                fresh.write_text(json.dumps(self._record, indent=2, ensure_ascii=False), encoding="utf-8")


class _Speed:
    """Frames a second, and seconds a step, over the last steps."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._frames = self._seconds = self._steps = 0.0

    def restart(self) -> None:
        """Leave out the time since the last step."""
        self._since = time.monotonic()

    def after(self, frames: int) -> tuple[float, float]:
        """Return both after a step with `frames` codec frames."""
        now = time.monotonic()
        self._seconds = _SMOOTHING * self._seconds + now - self._since
        self._frames, self._steps = _SMOOTHING * self._frames + frames, _SMOOTHING * self._steps + 1
        self._since = now
        return self._frames / max(self._seconds, 1e-9), self._seconds / self._steps


def _ignore(_event: Event) -> None:
    """Report nothing."""


def _drop_steps_after(step: int, path: Path) -> None:
    """Keep the lines of the first `step` steps: the others are run again, and a killed run may have cut the last."""
    kept: list[str] = []
    with suppress(FileNotFoundError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if json.loads(line)["step"] > step:
                break
            kept.append(line)
    if path.exists():
        with appearing(path) as fresh:
            fresh.write_text("".join(kept), encoding="utf-8")
