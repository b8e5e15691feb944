"""What the recorders share: texts of configurations, and where recordings go."""

import json
import os

import running

HEAD = """\
global
    nbthread 1
    stats socket CONTROL level admin
defaults
    mode http
    option http-no-delay
    option abortonclose
    timeout connect %(connect)s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
frontend web
    bind LISTEN
%(rules)s    default_backend app
backend app
"""


def configuration(lines, servers, rules=(), connect="1s"):
    """Servers are what follows the address of each."""
    rules = "".join("    %s\n" % rule for rule in rules)
    text = HEAD % {"connect": connect, "rules": rules}
    text += "".join("    %s\n" % line for line in lines if line)
    for number, words in enumerate(servers, 1):
        line = "    server s%d 127.0.0.1:%d %s" % (number, number, words)
        text += line.rstrip() + "\n"
    return text


class Recording:
    """A file of JSON lines in tests/recorded/."""

    def __init__(self, name):
        here = os.path.dirname(os.path.abspath(__file__))
        folder = os.path.join(here, "..", "recorded")
        self.path = os.path.join(os.environ.get("RECORD_TO", folder), name)
        self.file = open(self.path, "w")
        self.cases = 0
        self.version = running.version()

    def write(self, case):
        case = {"haproxy": self.version, **case}
        self.file.write(json.dumps(case, separators=(",", ":")) + "\n")
        self.file.flush()
        self.cases += 1

    def close(self):
        self.file.close()
        size = os.path.getsize(self.path)
        print("%s: %d cases, %d bytes" % (self.path, self.cases, size))
