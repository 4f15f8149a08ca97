"""Queues of SQS: notices of ended jobs, and messages that ask for jobs."""
