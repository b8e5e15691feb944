"""What a cookie is worth when a page of another site asks."""

from driver import wait_until
from pages import REQUESTS

# site: does the browser send its cookie when a page of another site loads images and fetches,
# when it follows a link from there, and when it sends a form from there
EXPECTED = {
    "lax": (False, True, False),
    "strict": (False, False, False),
    "none": (True, True, True),
}

FOLLOW = "document.querySelector('a').click()"
SEND = "document.querySelector('button').click()"


def same_site(facts, browser, journal):
    for site, (images, link, form) in EXPECTED.items():
        facts.about("SameSite of the kind %s, asked from other.localhost" % site)
        asked_for_images(facts, browser, journal, site, images)
        visited_by_link(facts, browser, site, link)
        visited_by_form(facts, browser, site, form)


def asked_for_images(facts, browser, journal, site, expected):
    home = browser.open(site)
    value, mark = browser.value(site), len(journal)
    browser.open("other", "/images?to=" + browser.url(site, "/pixel"))
    visits = journal.since(mark, site, "/pixel")
    # So many that the next one which is balanced is not with its old server by chance.
    facts.same("images and fetches", len(visits), 4)
    facts.same("they send the cookie", {sends(v.sent) for v in visits}, {expected})
    servers = {home} if expected else {"s1", "s2", "s3"}
    facts.same("they are served by", {v.server for v in visits}, servers)
    facts.same("the browser's cookie is as before", browser.value(site), value)
    facts.same("the next page is from its server", browser.open(site), home)


def visited_by_link(facts, browser, site, expected):
    home = browser.open(site)
    browser.open("other", "/ways?to=" + browser.url(site))
    server = browser.leave_by(FOLLOW)
    facts.same("a link sends the cookie", sends(browser.told("sent")), expected)
    kept_or_moved(facts, browser, site, expected, home, server)


def visited_by_form(facts, browser, site, expected):
    home = browser.open(site)
    browser.open("other", "/ways?to=" + browser.url(site))
    server = browser.leave_by(SEND)
    facts.same("a form sends the cookie", sends(browser.told("sent")), expected)
    kept_or_moved(facts, browser, site, expected, home, server)


def sends(cookies):
    return "SRV=" in cookies


def kept_or_moved(facts, browser, site, sent, home, server):
    """Who comes without a cookie is balanced, and what a page sets is kept, though the way
    to it was from another site."""
    facts.same("the page is from the browser's server", server == home, sent)
    facts.same("and so is the next one", browser.open(site), server)


def partitions(facts, browser, journal):
    facts.about("a partitioned cookie in iframes of one.localhost and two.localhost")
    alone = browser.open("partitioned")
    servers = {"one": set(), "two": set()}
    for top in ["one", "two"] * 3:
        mark = len(journal)
        browser.open(top, "/frame?to=" + browser.url("partitioned"))
        # The page is there before the requests of the script within the iframe.
        requests = lambda: len(journal.since(mark, "partitioned"))
        wait_until(lambda: requests() == REQUESTS, "the iframe is loaded")
        servers[top] |= journal.servers(mark, "partitioned")
    every = {alone} | servers["one"] | servers["two"]
    numbers = [len(each) for each in servers.values()]
    facts.same("the iframe keeps one server below each", numbers, [1, 1])
    facts.same("these two and that of the site alone are", every, {"s1", "s2", "s3"})
    cookies = browser.cookies("partitioned", "SRV")
    tops = {c["partitionKey"]["topLevelSite"] for c in cookies}
    sites = {"http://%s.localhost" % site for site in ["one", "two", "partitioned"]}
    facts.same("Chromium has a cookie for each", tops, sites)
    facts.same("the site alone has kept its server", browser.open("partitioned"), alone)
