"""Writes promptfooconfig.json and its provider: `promptfoo eval --max-concurrency 32 --repeat …`."""

import json
import os
from pathlib import Path

CASES, DELAY = int(os.environ["CASES"]), float(os.environ["DELAY"])
PROVIDER = """
module.exports = class {
  id() { return 'stub'; }
  async callApi() {
    await new Promise((resolve) => setTimeout(resolve, %d));
    return { output: 'yes' };
  }
};
"""

Path("provider.cjs").write_text(PROVIDER % round(1000 * DELAY))
config = {
    "prompts": ["{{q}}"],
    "providers": ["file://provider.cjs"],
    "defaultTest": {"assert": [{"type": "equals", "value": "yes"}]},
    "tests": [{"vars": {"q": str(case)}} for case in range(CASES)],
}
Path("promptfooconfig.json").write_text(json.dumps(config))
