"""Making a variant the app's own: its texts into the source, its scores into the baseline, and the commit."""
