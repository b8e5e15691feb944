"""A proxy, ours or HAProxy, with the configuration beside this file."""

import os
import socket
import subprocess
import tempfile

from driver import wait_until
from origins import bound

CONFIGURATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy.cfg")


class Proxy:
    def __init__(self, name, program, origins):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix="stickroute-browser-")
        self.control = self.folder.name + "/stats.sock"
        held = bound(0)
        self.port = held.getsockname()[1]
        file = self.write(origins)
        held.close()
        self.log = open(self.folder.name + "/log", "w+")
        command = [program, "-db", "-f", file]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_until(self.is_up, "%s serves" % name)

    def write(self, origins):
        text = open(CONFIGURATION).read()
        text = text.replace("FOLDER", self.folder.name)
        text = text.replace("WEB_ADDRESS", "127.0.0.1:%d" % self.port)
        for origin in origins:
            text = text.replace(origin.name.upper() + "_ADDRESS", "127.0.0.1:%d" % origin.port)
        file = self.folder.name + "/proxy.cfg"
        open(file, "w").write(text)
        return file

    def is_up(self):
        assert self.process.poll() is None, self.said()
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return self.command("show info") != ""
        except OSError:
            return False

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def command(self, line):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.control)
            sock.sendall((line + "\n").encode())
            answer = b""
            while more := sock.recv(65536):
                answer += more
        return answer.decode().strip()

    def state(self, backend, server):
        """As `show stat` tells it: UP, DOWN, DRAIN, no check ..."""
        rows = [row.split(",") for row in self.command("show stat").lstrip("# ").splitlines()]
        column = rows[0].index("status")
        return next(row[column] for row in rows[1:] if row[:2] == [backend, server])

    def wait_for_state(self, backend, server, *words):
        holds = lambda: self.state(backend, server).split()[0] in words
        wait_until(holds, "%s/%s is %s" % (backend, server, " or ".join(words)))

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()
