"""What one experiment says beyond its verdicts: where it fails, what stands out, what to work on."""
