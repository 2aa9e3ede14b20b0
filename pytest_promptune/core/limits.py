"""What the parameter is called that limits the length of a model's answer."""

from __future__ import annotations

#: Of providers and of runtimes of local models; the most usual one first.
OUTPUT_LIMITS = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "num_predict",
    "max_new_tokens",
    "max_tokens_to_sample",
)
