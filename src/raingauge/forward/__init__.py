"""Passing accepted messages on to another server: an outbox on disk, and the threads that empty it."""
