"""Connections, forms, tabs and WebSockets: what a browser does beside loading a page."""

from driver import wait_until
from sites import SEND


def keep_alive(facts, browser, journal):
    facts.about("connections that are kept")
    mark = len(journal)
    servers = []
    for _ in range(8):
        servers.append(browser.open("plain", "/bare"))
        browser.delete_cookie()
    visits = journal.since(mark, "plain", "/bare")
    connections = {v.connection for v in visits}
    facts.holds("there are fewer than page loads", len(connections) < len(visits))
    pairs = zip(visits, visits[1:])
    moved = [a for a, b in pairs if a.connection == b.connection and a.server != b.server]
    facts.holds("one leads to several servers, by the cookie of each request", moved)
    facts.same("without a cookie, the servers take turns", len(set(servers)), 3)


def forms(facts, browser, journal):
    facts.about("forms, and a cookie that is set by POST only")
    servers = {browser.open("postonly", "/bare") for _ in range(6)}
    facts.same("pages are balanced before", servers, {"s1", "s2", "s3"})
    facts.holds("and set no cookie", not browser.cookies("postonly", "SRV"))
    mark = len(journal)
    server = send_form(browser, "postonly")
    # What belongs to the page is asked for with the cookie that came with it.
    posted = [v for v in journal.since(mark, "postonly", "/") if v.method == "POST"]
    facts.same("one form is sent", len(posted), 1)
    facts.same("its answer sets one", browser.value("postonly"), server)
    loads = {browser.open("postonly") for _ in range(3)} | {send_form(browser, "postonly")}
    facts.same("pages and forms are with its server then", loads, {server})


def send_form(browser, site):
    browser.open(site, "/ways?to=/")
    return browser.leave_by(SEND)


def tabs(facts, browser, journal):
    facts.about("page loads in several tabs at a time")
    home = browser.open("plain")
    mark = len(journal)
    servers = open_in_tabs(browser, [browser.url("plain")] * 4)
    facts.same("all show its server", servers, [home] * 4)
    facts.same("nothing came from another", journal.servers(mark, "plain"), {home})


def first_visits(facts, browser, journal):
    """Each is balanced, but the browser has one cookie, and all agree on it afterwards."""
    facts.about("first visits in several tabs at a time")
    browser.open("other", "/bare")
    # No server answers before all three have been asked.
    addresses = [browser.url("crowd", "/held?until=3&number=%d" % n) for n in range(3)]
    servers = set(open_in_tabs(browser, addresses))
    facts.same("each is served by another server", servers, {"s1", "s2", "s3"})
    facts.holds("Chromium has one cookie", browser.cookie("crowd"))
    servers = open_in_tabs(browser, [browser.url("crowd", "/bare?%d" % n) for n in range(3)])
    facts.holds("the next pages are from its server", set(servers) == {browser.value("crowd")})


def open_in_tabs(browser, addresses):
    """The servers of the pages, whose tabs are closed again."""
    first = browser.ask("GET", "/window")
    browser.script("arguments[0].forEach(address => open(address))", addresses)
    handles = lambda: browser.ask("GET", "/window/handles")
    wait_until(lambda: len(handles()) == 1 + len(addresses), "the tabs are there")
    servers = [server_in(browser, tab) for tab in handles() if tab != first]
    browser.switch(first)
    return servers


def server_in(browser, tab):
    browser.switch(tab)
    # A tab is empty at first.
    said = lambda: (server := browser.server()) != "none" and server
    server = wait_until(said, "a page of a server")
    browser.ask("DELETE", "/window")
    return server


def web_socket(facts, browser, journal):
    facts.about("WebSockets of a page")
    home = browser.open("plain")
    address = browser.url("plain", "/socket").replace("http:", "ws:")
    browser.script(
        "window.heard = []; for (let n = 0; n < 4; n++) "
        "new WebSocket(arguments[0]).onmessage = said => heard.push(said.data)",
        address,
    )
    heard = lambda: browser.script("return heard")
    wait_until(lambda: len(heard()) == 4, "four servers have said their names")
    facts.same("four of them are with the server of the page", heard(), [home] * 4)
