"""Variants: what they change and how they reach the app. Only `templates` and `loader` need jinja2."""
