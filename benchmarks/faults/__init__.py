"""Faults at random under load, and hostile requests: nothing may be lost, hang or be wrong."""
