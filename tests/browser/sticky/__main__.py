"""Chromium through a proxy, scenario by scenario; see README.md one folder up.

    python3 tests/browser/sticky PROGRAM...     e.g. haproxy target/debug/examples/proxy
"""

import os
import signal
import sys

import attributes
import gone
import moved
import sites
import traffic
from driver import Browser, Driver
from facts import Facts, differences
from origins import Journal, Origin
from proxies import Proxy

SCENARIOS = [
    attributes.attributes,
    attributes.domain,
    attributes.untrustworthy,
    attributes.dates,
    sites.same_site,
    sites.partitions,
    gone.deleted,
    traffic.keep_alive,
    traffic.forms,
    traffic.tabs,
    traffic.first_visits,
    traffic.web_socket,
]
# These stop servers and need those that do it.
OPERATIONS = [moved.drained_and_stopped, moved.stopped_unseen, moved.maintenance]


def run(driver, program):
    journal = Journal()
    origins = {name: Origin(name, journal) for name in ["s1", "s2", "s3"]}
    proxy = Proxy(os.path.basename(program), program, origins.values())
    facts = Facts(proxy.name)
    try:
        with Browser(driver, proxy.port) as browser:
            for scenario in SCENARIOS:
                facts.gather(scenario, browser, journal)
            for scenario in OPERATIONS:
                facts.gather(scenario, browser, journal, proxy, origins)
    finally:
        if facts.failed:
            print("\n%s said:\n%s" % (proxy.name, proxy.said()))
        proxy.close()
    return facts


def main(programs):
    driver = Driver()
    try:
        runs = [run(driver, program) for program in programs]
    finally:
        driver.close()
    differing = [d for other in runs[1:] for d in differences(runs[0], other)]
    print()
    for name, one, other in differing:
        print("They differ: %s: %s, %s" % (name, one, other))
    for facts in runs:
        print("%s: %d facts, %d failed" % (facts.proxy, len(facts.seen), facts.failed))
    none = not all(facts.seen for facts in runs)
    sys.exit(none or bool(differing) or any(facts.failed for facts in runs))


if __name__ == "__main__":
    # As by Ctrl-C, so that nothing goes on behind it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    main(sys.argv[1:] or sys.exit(__doc__))
