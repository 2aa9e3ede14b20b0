"""What a dry run lets an app reach."""

import pytest

from pytest_promptune.plugin import dry_run


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::ffff:127.0.0.1", b"::1"]
)
def test_this_machine_is_reached(name):
    dry_run._refuse(name)


@pytest.mark.parametrize(
    "name",
    [
        "api.openai.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "192.0.2.1",
        "::ffff:192.0.2.1",
        b"a.b",
    ],
)
def test_no_other_host_is_reached(name):
    with pytest.raises(PermissionError, match="a dry run reaches no other host"):
        dry_run._refuse(name)
