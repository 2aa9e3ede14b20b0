"""A tuning series: where it began, its iterations, and where it stands. Pure values; others read the log."""
