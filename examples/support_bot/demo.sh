#!/bin/sh
# The whole workflow with a real language model on this machine's CPU: install, record a baseline, compare variants.
# Works from any folder of a fresh clone; needs Python 3.11+ and, once, a package index. No key, no server.
#   PYTHON=python3.12 examples/support_bot/demo.sh      another Python for the environment it makes
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
venv=$root/.venv

if [ ! -x "$venv/bin/python" ]; then
    echo "== making $venv"
    "${PYTHON:-python3}" -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import pytest_promptune, xllamacpp, langchain_openai' 2>/dev/null; then
    echo "== installing pytest-promptune[demo] (a minute or two)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$root[demo]"
fi
echo "== fetching the model (once, 93 MB)"
"$venv/bin/pytest-promptune" model fetch

cd "$here"
began=$(date +%s)

# The demo measures the 12 tickets that are not hard, three times each: enough for a verdict, about a minute.
echo "== recording the baseline of the prompts as they stand"
"$venv/bin/python" -m pytest -q -k "not hard" --promptune-baseline "$@"

# A variant that regressed fails the gate (exit status 1): that is what the demo shows, and not its own failure.
echo "== comparing the variants with them"
status=0
"$venv/bin/python" -m pytest --no-header -k "not hard" --promptune-compare "$@" || status=$?
[ "$status" -le 1 ] || exit "$status"

echo
echo "== done in $(($(date +%s) - began)) s"
echo "report     $here/promptune-report.md"
echo "baseline   $here/tests/__promptune__/"
echo "variants   $here/prompts/variants/"
if [ "$status" -eq 1 ]; then
    echo "pytest ended with status 1: the gate found the variants that are worse. In CI this fails the build."
fi
