"""Finds the nodes of a compiled graph that call a language model, without running anything."""
