"""Cookies that are deleted, and with them the server."""

ERASE = "document.cookie = 'SRV=; path=/; max-age=0'"


def deleted(facts, browser, journal):
    facts.about("a cookie that WebDriver deletes")
    for site in ["plain", "secure", "httponly", "lax", "dynamic", "dated"]:
        first = browser.open(site)
        browser.delete_cookie()
        moved_once(facts, browser, site, first)
    facts.about("a cookie that a script deletes")
    first = browser.open("plain")
    browser.script(ERASE)
    moved_once(facts, browser, "plain", first)
    first = browser.open("httponly")
    browser.script(ERASE)
    facts.same("one with httponly stays, and its server", browser.open("httponly"), first)


def moved_once(facts, browser, site, first):
    """Servers take turns, so that the next one without a cookie is certainly another one."""
    facts.holds("%s: there is none" % site, not browser.cookies(site, "SRV"))
    second = browser.open(site)
    facts.same("%s: the next page came without one" % site, browser.told("sent"), "")
    facts.holds("%s: it is from another server" % site, second != first)
    facts.holds("%s: there is a new one" % site, browser.cookie(site))
    loads = [browser.open(site) for _ in range(3)]
    facts.same("%s: and the new server is kept" % site, set(loads), {second})
