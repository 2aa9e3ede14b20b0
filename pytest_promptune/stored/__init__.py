"""Experiments of the log, read for people: nothing here runs samples."""
