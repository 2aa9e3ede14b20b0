"""The only package that writes data: baseline files, reports, results."""
