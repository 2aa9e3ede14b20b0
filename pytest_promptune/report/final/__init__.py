"""The final report over a tuning series, in Markdown; what it says is `core.series.final`."""
