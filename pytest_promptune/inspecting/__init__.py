"""What the source of an app says about its nodes (``pytest-promptune nodes``)."""
