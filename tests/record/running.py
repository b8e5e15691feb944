"""A HAProxy that runs between clients and servers of ours, all on the loopback address."""

import re
import socket
import subprocess
import tempfile
import threading
import time


def version():
    text = subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout
    return re.search(r"version (\d+\.\d+\.\d+)", text).group(1)


def listener():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock


def free_port():
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    return port


def head_of(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return data.decode("latin-1")


def field(head, name):
    found = re.search(r"^%s: *(.*?)\r?$" % name, head, re.I | re.M)
    return found.group(1) if found else None


class Server:
    """Answers each request with its name. With `x-gate` the end of the answer waits.

    A server that fails closes each connection: at once, which is a failed connection for
    a HAProxy that wants TLS, or after the request, which is an empty response. In `log`
    is one name for each connection, in their order.
    """

    def __init__(self, name, gates, log, fails=None):
        self.name, self.gates, self.log, self.fails = name, gates, log, fails
        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.log.append(self.name)
            if self.fails == "connection":
                sock.close()
                continue
            threading.Thread(target=self.answer, args=[sock], daemon=True).start()

    def answer(self, sock):
        try:
            head = head_of(sock)
            if head and self.fails != "response":
                gate = field(head, "x-gate")
                text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n"
                text += "x-server: %s\r\n\r\n" % self.name
                sock.sendall(text.encode())
                if gate:
                    self.gates[gate].wait(60)
                sock.sendall(b"ok\n")
        except OSError:
            pass
        finally:
            sock.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Client:
    """One request. `answer` is None until there is one, then a server's name or a status."""

    def __init__(self, number, port, text):
        self.number, self.answer, self.ended = number, None, threading.Event()
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.sendall(text.encode("latin-1"))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            head = head_of(self.sock)
            if head:
                self.answer = field(head, "x-server") or int(head.split(" ")[1])
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.ended.set()
        self.sock.close()

    def leave(self):
        self.sock.shutdown(socket.SHUT_RDWR)


class HAProxy:
    """The text has LISTEN and CONTROL where the addresses go, and 127.0.0.1:1, :2 and so
    on for the servers, which is also how it is recorded."""

    def __init__(self, text, fails=()):
        self.gates, self.log, self.servers = {}, [], []
        for name in re.findall(r"^ *server +(\S+)", text, re.M):
            kind = dict(fails).get(name)
            self.servers.append(Server(name, self.gates, self.log, kind))
        self.listen, self.control = free_port(), free_port()
        for number, server in reversed(list(enumerate(self.servers, 1))):
            text = re.sub(r"127\.0\.0\.1:%d\b" % number, "127.0.0.1:%d" % server.port, text)
        text = text.replace("LISTEN", "127.0.0.1:%d" % self.listen)
        text = text.replace("CONTROL", "ipv4@127.0.0.1:%d" % self.control)
        self.file = tempfile.NamedTemporaryFile("w", suffix=".cfg")
        self.file.write(text)
        self.file.flush()
        command = ["haproxy", "-db", "-f", self.file.name]
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=null, stderr=null)
        wait_until(self.is_up)
        self.log.clear()

    def is_up(self):
        assert self.process.poll() is None, open(self.file.name).read()
        try:
            # One may listen a moment after the other.
            socket.create_connection(("127.0.0.1", self.listen)).close()
            return self.command("show info") != ""
        except OSError:
            return False

    def command(self, line):
        sock = socket.create_connection(("127.0.0.1", self.control))
        sock.sendall((line + "\n").encode())
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while more := sock.recv(65536):
            answer += more
        sock.close()
        return answer.decode().strip()

    def counts(self):
        """Streams waiting and open, by server, and those that wait for any server."""
        rows = self.command("show stat app 6 -1").splitlines()
        rows = [row.split(",") for row in rows if row.startswith("app,")]
        queued = {row[1]: int(row[2] or 0) for row in rows}
        served = {row[1]: int(row[4] or 0) for row in rows}
        waiting = queued.pop("BACKEND")
        served.pop("BACKEND")
        return queued, served, waiting

    def send(self, number, path="/", fields=(), hold=False):
        text = "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" % path
        if hold:
            self.gates[str(number)] = threading.Event()
            text += "x-gate: %s\r\n" % number
        text += "".join("%s: %s\r\n" % pair for pair in dict(fields).items())
        return Client(number, self.listen, text + "\r\n")

    def end(self, client):
        self.gates[str(client.number)].set()
        assert client.ended.wait(20)

    def ask(self, number, **how):
        """The answer to a request that need not wait."""
        client = self.send(number, **how)
        wait_until(lambda: client.answer is not None)
        if not how.get("hold"):
            assert client.ended.wait(20)
        return client

    def close(self):
        for gate in self.gates.values():
            gate.set()
        self.process.terminate()
        self.process.wait()
        for server in self.servers:
            server.close()


def wait_until(holds):
    for _ in range(4000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError("it does not become so")
