"""Which servers a request is sent to, one after the other, when some of them fail.

A server fails a connection (HAProxy wants TLS there, and it hangs up), or a response (it
hangs up after the request; `retry-on empty-response`). Either is one failed attempt, and
neither is in the text that is recorded.
"""

import random
import sys

from cases import Recording, configuration
from running import HAProxy, wait_until

ALGORITHMS = [
    "balance roundrobin",
    "balance roundrobin",
    "balance static-rr",
    "balance leastconn",
    "balance first",
    "balance hdr(x-k)",
    "balance uri\nhash-type consistent",
    "balance hdr(x-k)\nhash-type consistent\nhash-balance-factor 150",
]


def redispatch(draw, retries):
    """`option redispatch`, but not with the number that makes HAProxy crash."""
    intervals = [i for i in range(-retries - 3, retries + 2) if i not in (0, -retries - 1)]
    words = ["", "", "option redispatch"] + ["option redispatch %d" % i for i in intervals]
    return draw.choice(words)


def server(draw, number, backups):
    words = "cookie s%d" % number
    if draw.random() < 0.4:
        words += " weight %d" % draw.choice([0, 1, 2, 5, 30])
    if draw.random() < 0.2:
        words += " id %d" % (20 - number)
    return words + (" backup" if draw.random() < backups else "")


def plan(draw, kind):
    retries = draw.choice([0, 1, 2, 2, 3, 3, 4, 6])
    if kind == "connection":
        retries = min(retries, 4)
    lines = draw.choice(ALGORITHMS).split("\n")
    lines += ["retries %d" % retries, redispatch(draw, retries)]
    lines += [draw.choice(["", "", "option allbackups"]), draw.choice(["", "", "option persist"])]
    lines += ["cookie SRV insert indirect nocache"]
    count, backups = draw.choice([1, 2, 2, 3, 3, 4, 6]), draw.choice([0, 0, 0.3, 0.6])
    servers = [server(draw, number, backups) for number in range(1, count + 1)]
    failing = draw.choice([0.3, 0.6, 0.9, 1])
    fails = ["s%d" % n for n in range(1, count + 1) if draw.random() < failing]
    # After each failure of a connection HAProxy waits for as long as this.
    return configuration(lines, servers, connect="150ms"), fails, count


def step(draw, count):
    """A command, or what is special about a request."""
    name = "s%d" % draw.randint(1, count)
    if draw.random() < 0.15:
        change = draw.choice(["state maint", "state ready", "state ready", "state drain"])
        return {"order": "set server app/%s %s" % (name, change)}
    request = {"key": "k%d" % draw.randint(0, 9)}
    if draw.random() < 0.35:
        request["cookie"] = name
    return request


def record(proxy, draw, count, requests):
    steps = []
    for number in range(requests):
        it = step(draw, count)
        if "order" in it:
            it["answer"] = proxy.command(it["order"])
        else:
            proxy.log.clear()
            fields = {"x-k": it["key"]}
            if "cookie" in it:
                fields["Cookie"] = "SRV=" + it["cookie"]
            client = proxy.ask(number, path="/" + it["key"], fields=fields)
            # The last of its connections is counted when it has ended.
            wait_until(lambda: proxy.counts()[1] == {s.name: 0 for s in proxy.servers})
            it["attempts"], it["answer"] = list(proxy.log), client.answer
        steps.append(it)
    return steps


def failing(text, kind):
    """The configuration in which servers can fail so."""
    if kind == "connection":
        return text.replace(" cookie s", " ssl verify none cookie s")
    line = "    retry-on conn-failure empty-response\n"
    return text.replace("\nbackend app\n", "\nbackend app\n" + line)


def main(seed=2612):
    out = Recording("retries.jsonl")
    for number in range(150):
        draw = random.Random(seed * 1000 + number)
        kind = "connection" if number % 3 == 0 else "response"
        text, fails, count = plan(draw, kind)
        if kind == "connection":
            # None of them speaks TLS.
            fails = ["s%d" % n for n in range(1, count + 1)]
        proxy = HAProxy(failing(text, kind), {name: kind for name in fails})
        steps = record(proxy, draw, count, 5 if kind == "connection" else 12)
        proxy.close()
        case = {"id": "retries-%03d" % number, "config": text, "fails": fails}
        out.write({**case, "fails_by": kind, "steps": steps})
    out.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
