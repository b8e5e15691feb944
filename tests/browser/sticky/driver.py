"""Headless Chromium by WebDriver: chromedriver takes JSON over HTTP."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage",
    "--disable-features=HttpsUpgrades,OptimizationHints,MediaRouter", "--no-proxy-server",
    # Whatever name Chromium wants, it never leaves this machine.
    "--host-resolver-rules=MAP * 127.0.0.1",
]


# Some builds keep cookies from images and frames of other sites, whatever they say of themselves.
SETTINGS = {"profile": {"block_third_party_cookies": False, "cookie_controls_mode": 0}}


def wait_until(holds, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := holds():
            return answer
        time.sleep(0.02)
    raise AssertionError("in %d seconds it did not become so: %s" % (PATIENCE, what))


class Driver:
    """A chromedriver, with one folder for all its browsers leave behind."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="stickroute-browser-")
        command = ["chromedriver", "--port=0", "--log-level=SEVERE"]
        environment = dict(os.environ, HOME=self.folder, TMPDIR=self.folder)
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.address = "http://127.0.0.1:%d" % self.port()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def port(self):
        for line in self.process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                # Somebody has to read the rest, or chromedriver waits.
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return int(found.group(1))
        raise AssertionError("chromedriver does not start")

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=2 * PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError("%s %s: %s" % (method, path, error.read().decode()[:300]))

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Browser:
    """A Chromium with an empty profile of its own. A site is the first part of a host name."""

    def __init__(self, driver, port):
        self.driver, self.port = driver, port
        profile = tempfile.mkdtemp(dir=driver.folder)
        options = {"args": FLAGS + ["--user-data-dir=" + profile], "prefs": SETTINGS}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        body = {"capabilities": {"alwaysMatch": wanted}}
        self.path = "/session/" + driver.call("POST", "/session", body)["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.call("DELETE", self.path)

    def ask(self, method, path, body=None):
        return self.driver.call(method, self.path + path, body)

    def url(self, site, path="/"):
        host = site if "." in site else site + ".localhost"
        return "http://%s:%d%s" % (host, self.port, path)

    def open(self, site, path="/"):
        """Loads a page with all that belongs to it; the name of the server it is from."""
        self.ask("POST", "/url", {"url": self.url(site, path)})
        return self.server()

    def server(self):
        """Of the page, as soon as all of it is there; an error page has none."""
        script = """
            if (document.readyState != 'complete') return
            const said = document.body.dataset
            return !said.server ? ['none'] : said.done == 'yes' && [said.server]
        """
        return wait_until(lambda: self.script(script), "the page is loaded")[0]

    def told(self, what):
        """What the page says of the request it answers: server, sent, received."""
        return self.script("return document.body.dataset[arguments[0]]", what)

    def script(self, text, *arguments):
        body = {"script": text, "args": list(arguments)}
        return self.ask("POST", "/execute/sync", body)

    def leave_by(self, text, *arguments):
        """A script that leads to another page, which is waited for."""
        self.script("document.body.dataset.done = 'leaving';" + text, *arguments)
        return self.server()

    def devtools(self, command, **parameters):
        body = {"cmd": command, "params": parameters}
        return self.ask("POST", "/goog/cdp/execute", body)

    def cookies(self, site, name):
        """All that Chromium has stored, those of iframes too."""
        host = site if "." in site else site + ".localhost"
        every = self.devtools("Network.getAllCookies")["cookies"]
        return [c for c in every if c["domain"].lstrip(".") == host and c["name"] == name]

    def cookie(self, site, name="SRV"):
        found = self.cookies(site, name)
        return found[0] if len(found) == 1 else None

    def value(self, site, name="SRV"):
        cookie = self.cookie(site, name)
        return cookie and cookie["value"]

    def delete_cookie(self, name="SRV"):
        self.ask("DELETE", "/cookie/" + name)

    def switch(self, tab):
        self.ask("POST", "/window", {"handle": tab})
