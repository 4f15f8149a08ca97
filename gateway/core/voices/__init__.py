"""Voices that clients register: a recording of a speaker, or a voice designed from text, that any clone model speaks.

No HTTP: `use_cases` registers, lists and deletes them, `speaking` finds the one that a speech request names.
"""
