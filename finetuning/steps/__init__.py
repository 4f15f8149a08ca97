"""The steps of a fine-tuning, one module a step: `python -m finetuning.steps.NAME PROJECT`.

Each runs in an environment of its own (`finetuning.command.ENVIRONMENTS`), and can be stopped and run again.
"""
