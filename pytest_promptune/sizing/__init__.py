"""What the stored runs say about the gate and the size of the suite; runs nothing.

`sources` finds the runs, `calibrating` and `planning` ask the statistics, `telling` puts it into words.
"""
