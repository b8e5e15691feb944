"""Every kind of cookie: Chromium keeps its server, and has stored what was configured."""

import os
import re
import time

from driver import wait_until
from pages import REQUESTS

# Of each kind; more, to be left alone for longer: LOADS=50 tests/browser/sticky.sh
LOADS = int(os.environ.get("LOADS", 4))

# site, its cookie, the form of its value, and what it is beside a session cookie for "/"
KINDS = [
    ("plain", "SRV", r"s\d", {}),
    ("secure", "SRV", r"s\d", {"secure": True}),
    ("httponly", "SRV", r"s\d", {"httpOnly": True}),
    ("lax", "SRV", r"s\d", {"sameSite": "Lax"}),
    ("strict", "SRV", r"s\d", {"sameSite": "Strict"}),
    ("none", "SRV", r"s\d", {"secure": True, "sameSite": "None"}),
    ("partitioned", "SRV", r"s\d", {"secure": True, "sameSite": "None", "partitionKey": True}),
    ("prefix", "APP", r"s\d~mine", {}),
    ("rewrite", "SRV", r"s\d", {}),
    ("dynamic", "SRV", r"[0-9a-f]{16}", {}),
    ("dated", "SRV", r"s\d\|[\w+/-]{5}\|[\w+/-]{5}", {}),
]


def attributes(facts, browser, journal):
    for site, name, value, stored in KINDS:
        facts.about("a cookie of the kind %s" % site)
        mark = len(journal)
        first = browser.open(site, first_path(site))
        for _ in range(LOADS - 1):
            browser.open(site)
        requests = len(journal.since(mark, site))
        facts.same("requests of %d page loads" % LOADS, requests, LOADS * REQUESTS)
        facts.same("they are served by one server", journal.servers(mark, site), {first})
        stored_cookie(facts, browser, site, name, value, stored)
        seen_by_servers(facts, journal[mark:][-1], name)


def first_path(site):
    """In these modes it is the application that sets a cookie."""
    cookies = {"prefix": "/?set=APP%3Dmine", "rewrite": "/?set=SRV%3Dmine"}
    return cookies.get(site, "/")


def stored_cookie(facts, browser, site, name, value, stored):
    cookie = browser.cookie(site, name)
    facts.holds("its value is as it should be", cookie and re.fullmatch(value, cookie["value"]))
    if not cookie:
        return
    facts.same("its attributes are those configured", about(cookie), about(stored))
    readable = name + "=" in browser.script("return document.cookie")
    hidden = bool(stored.get("httpOnly"))
    facts.same("scripts can read it", readable, not hidden)
    seen = browser.ask("GET", "/cookie/" + name)
    facts.holds("WebDriver tells the same value", seen["value"] == cookie["value"])


def about(cookie):
    """All but its value and what it is for; in the words of the DevTools protocol."""
    flags = [flag for flag in ["secure", "httpOnly", "partitionKey"] if cookie.get(flag)]
    flags += ["SameSite=" + cookie["sameSite"]] if "sameSite" in cookie else []
    lives = "session" if cookie.get("session", True) else "lasting"
    return " ".join([lives, "path=" + cookie.get("path", "/")] + flags)


def seen_by_servers(facts, visit, name):
    facts.holds("the browser sent it", name + "=" in visit.sent)
    received = {"prefix": "APP=mine", "rewrite": "SRV=" + visit.server}
    facts.same("the server received", visit.received, received.get(visit.site, ""))


def domain(facts, browser, journal):
    facts.about("a cookie for a domain")
    first = browser.open("www.shop.localhost")
    second = browser.open("api.shop.localhost")
    facts.same("two hosts of the domain share a server", second, first)
    facts.holds("the cookie is of the domain", browser.cookie("shop.localhost"))


def untrustworthy(facts, browser, journal):
    """Over plain HTTP, on a host that is not localhost, as in a network."""
    facts.about("a secure cookie on http://secure.test")
    servers = [browser.open("secure.test", "/bare") for _ in range(3)]
    facts.holds("it is not stored", not browser.cookies("secure.test", "SRV"))
    facts.holds("each page load is balanced anew", len(set(servers)) == 3)
    address = browser.url("secure.test").replace("http:", "https:")
    browser.devtools("Network.setCookie", url=address, name="SRV", value="s1", secure=True)
    facts.holds("one of https://secure.test is there", browser.cookie("secure.test"))
    browser.open("secure.test")
    facts.same("it is not sent in clear", browser.told("sent"), "")


def dates(facts, browser, journal):
    """Dates in cookies are in units of four seconds: four of them may take eight."""
    start, first = time.monotonic(), browser.open("idle")
    outlived(facts, browser, journal)
    facts.about("a cookie with maxidle 4s")
    time.sleep(max(0, start + 9 - time.monotonic()))
    facts.holds("after a pause the browser is moved", browser.open("idle") != first)
    facts.holds("though it sent its cookie", "SRV=" + first in browser.told("sent"))


def outlived(facts, browser, journal):
    facts.about("a cookie with maxlife 4s")
    first = browser.open("shortlived")
    value = browser.value("shortlived")
    wait_until(lambda: browser.open("shortlived") != first, "another server after maxlife")
    facts.holds("page after page, the browser is moved after its time", True)
    facts.holds("it has another cookie then", browser.value("shortlived") != value)
