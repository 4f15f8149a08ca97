"""The kit for speech families: a text in parts, a network that synthesizes a part at a time, and an engine around it.

A family writes a `SpeechPipeline` (`pieces` and `synthesize`) and gives it to a `PartByPartEngine`. Text normalization,
text splitting, the joins between parts and the self-test are there for a pipeline to use.
"""
