"""Fine-tuning of Qwen3-TTS: from recordings to a checkpoint with a voice of its own.

Modules of this folder import no torch; those of `finetuning.training` run in the environment `qwen`.
"""
