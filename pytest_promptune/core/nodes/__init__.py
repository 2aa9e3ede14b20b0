"""Nodes of the app that call a language model: what their source, their samples and both together say."""
