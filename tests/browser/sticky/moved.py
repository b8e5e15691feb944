"""Servers that are drained, stopped and started again."""

from driver import Browser
from sites import SEND


def drained_and_stopped(facts, browser, journal, proxy, origins):
    facts.about("a server that is drained, then stopped, with health checks")
    for name in ["s1", "s2", "s3"]:
        proxy.wait_for_state("checked", name, "UP")
    home = browser.open("checked")
    proxy.command("set server checked/%s state drain" % home)
    proxy.wait_for_state("checked", home, "DRAIN")
    stays(facts, browser, "checked", home, "it stays while it is drained")
    strangers_go_elsewhere(facts, browser, journal, home)
    with origins[home].stopped():
        proxy.wait_for_state("checked", home, "DOWN")
        server = moved_at_once(facts, browser, journal, "checked", home)
    proxy.command("set server checked/%s state ready" % home)
    proxy.wait_for_state("checked", home, "UP")
    stays(facts, browser, "checked", server, "it stays where it is when the old server is back")


def stays(facts, browser, site, home, text):
    loads = {browser.open(site) for _ in range(4)}
    facts.same(text, loads, {home})


def strangers_go_elsewhere(facts, browser, journal, home):
    with Browser(browser.driver, browser.port) as stranger:
        mark = len(journal)
        for _ in range(6):
            stranger.open("checked")
            stranger.delete_cookie()
    # The first request of each load has no cookie, and more of them than there are servers.
    fresh = {v.server for v in journal.since(mark, "checked") if v.sent == ""}
    facts.same("new browsers are not sent there", fresh, {"s1", "s2", "s3"} - {home})


def moved_at_once(facts, browser, journal, site, home):
    """Pages of the proxy's own have no server, and would not be the end of the load."""
    mark = len(journal)
    server = browser.open(site)
    moved = server not in [home, "none"]
    facts.holds("one page load moves the browser, without an error page", moved)
    facts.same("all of that page is from the new server", journal.servers(mark, site), {server})
    facts.same("the cookie names it", browser.value(site), server)
    stays(facts, browser, site, server, "it is kept")
    return server


def stopped_unseen(facts, browser, journal, proxy, origins):
    facts.about("a server that stops unseen, with option redispatch")
    home = browser.open("unchecked")
    with origins[home].stopped():
        server = moved_at_once(facts, browser, journal, "unchecked", home)
    stays(facts, browser, "unchecked", server, "it stays where it is when the old server is back")
    form_to_a_stopped_server(facts, browser, journal, origins, server)


def form_to_a_stopped_server(facts, browser, journal, origins, home):
    browser.open("unchecked", "/ways?to=/")
    mark = len(journal)
    with origins[home].stopped():
        server = browser.leave_by(SEND)
    posts = [v.server for v in journal.since(mark, "unchecked") if v.method == "POST"]
    facts.holds("a form is not lost either", server not in [home, "none"])
    facts.same("it is sent to one server, once", posts, [server])
    stays(facts, browser, "unchecked", server, "which is kept")


def maintenance(facts, browser, journal, proxy, origins):
    facts.about("a server in maintenance")
    home = browser.open("unchecked")
    proxy.command("set server unchecked/%s state maint" % home)
    server = moved_at_once(facts, browser, journal, "unchecked", home)
    proxy.command("set server unchecked/%s state ready" % home)
    stays(facts, browser, "unchecked", server, "it stays where it is when the old server is back")
