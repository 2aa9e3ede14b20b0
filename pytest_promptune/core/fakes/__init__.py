"""Values in place of a model's answers, for dry runs."""
