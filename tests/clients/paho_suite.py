#!/usr/bin/env python3
"""Scenarios with Eclipse Paho against an MQTT broker.

usage: paho_suite.py HOST PORT SCENARIO    run one scenario; exit code 0 when the broker behaves, 1 when not
       paho_suite.py --list                the names of all scenarios, one a line
"""

import sys

import scenarios_sessions
import scenarios_v5
from testclient import Failed

MODULES = (scenarios_sessions, scenarios_v5)


def scenarios():
    """All scenarios by name: the public functions that the modules define themselves."""
    return {
        name: function
        for module in MODULES
        for name, function in vars(module).items()
        if callable(function) and not name.startswith("_") and getattr(function, "__module__", "") == module.__name__
    }


def main(arguments):
    found = scenarios()
    if arguments == ["--list"]:
        print("\n".join(found))
        return 0
    if len(arguments) != 3 or not arguments[1].isdigit() or arguments[2] not in found:
        print(__doc__, file=sys.stderr)
        return 2
    host, port, name = arguments
    try:
        found[name]((host, int(port)))
    except Failed as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return 1
    print(f"{name}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
