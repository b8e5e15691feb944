"""The servers behind the proxy, and the journal of all they were asked."""

import base64
import contextlib
import hashlib
import http.server
import socket
import threading
import urllib.parse
from dataclasses import dataclass

import pages
from driver import wait_until


@dataclass
class Visit:
    """`sent` is the Cookie field of the browser, `received` what the proxy left of it, and
    `connection` the port that the browser's connection to the proxy comes from."""

    server: str
    site: str
    method: str
    path: str
    sent: str
    received: str
    connection: str


class Journal(list):
    def since(self, mark, site, path=""):
        of_site = [v for v in self[mark:] if v.site == site]
        return [v for v in of_site if v.path.startswith(path)]

    def servers(self, mark, site, path=""):
        return {visit.server for visit in self.since(mark, site, path)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300

    def setup(self):
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self):
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_):
        pass

    def do_GET(self):
        visit = self.visit()
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/socket":
            return self.greet(visit)
        if url.path == "/pixel":
            return self.answer('<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml")
        self.answer(self.text(visit, url.path, query), "text/html", query.get("set"))

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer(pages.full(self.visit()), "text/html")

    def text(self, visit, path, query):
        if path == "/held":
            self.hold(int(query["until"]))
        if path in pages.LEADING:
            return pages.LEADING[path](visit, query["to"])
        return pages.full(visit) if path == "/" else pages.page(visit)

    def hold(self, number):
        """Answers when so many are under way, so that none knows of the other's answer."""
        held = lambda: [v for v in self.server.journal if v.path.startswith("/held")]
        wait_until(lambda: len(held()) >= number, "a crowd")

    def visit(self):
        field = lambda name: self.headers.get(name, "")
        site = field("host").split(".")[0]
        said = field("x-sent"), field("cookie"), field("x-connection")
        visit = Visit(self.server.name, site, self.command, self.path, *said)
        self.server.journal.append(visit)
        return visit

    def answer(self, text, kind, cookie=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        # Chromium is to ask each time; this does not keep a proxy from adding its own.
        self.send_header("Cache-Control", "no-store")
        if cookie:
            self.send_header("Set-Cookie", cookie + "; Path=/")
        self.end_headers()
        self.wfile.write(text.encode())

    def greet(self, visit):
        """A WebSocket (RFC 6455) with one text, the name of the server, and no more."""
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        text = visit.server.encode()
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.rfile.read(2)
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name, journal, sock):
        super().__init__(sock.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.name, self.journal, self.socket, self.connections = name, journal, sock, set()
        self.server_activate()

    def handle_error(self, *_):
        """Connections break off when a server is stopped."""


class Origin:
    def __init__(self, name, journal):
        self.name, self.journal = name, journal
        self.sock = bound(0)
        self.port = self.sock.getsockname()[1]
        self.start()

    def start(self):
        self.server = Server(self.name, self.journal, self.sock)
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    @contextlib.contextmanager
    def stopped(self):
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self):
        """As if it was killed: it is cut off from everybody, and refuses who comes."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.connections):
            cut(connection)
        # Nobody else is to get the port; a socket that does not listen refuses.
        self.sock = bound(self.port)


def bound(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def cut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
