"""The hand-made views stand one folder up; running this folder alone must find them, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
