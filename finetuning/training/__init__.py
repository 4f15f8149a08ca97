"""Training: all that needs torch. Import from here; the modules below may change.

A run's folder:
```
RUN/
  plan.json        the plan, and hashes of the data set and the start
  history.jsonl    a line for each `Scores`: line 0 the start's, then `cloning`, then the epochs'
  progress.jsonl   a line for each `Progress`
  state.pt         what to resume from
  epochs/N/        a whole checkpoint after epoch N
  samples/NAME/M.wav     the sentences spoken by `start`, `cloning`, `epoch-N`
  chosen.json      the chosen epoch and the reason
```
"""

from finetuning.training.api import Hardware, Judge, evaluate, export, hardware, probe, train

__all__ = ["Hardware", "Judge", "evaluate", "export", "hardware", "probe", "train"]
