"""Aggregate metrics: of classes, and those that users give; what they are computed from, and their rows."""
