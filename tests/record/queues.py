"""Who waits where, who is served next, and who is refused.

After each step is recorded what has become of requests meanwhile, and how many wait for
each server and for any. What `docs/differences.md` lists about queues is left out: nobody
waits for any server when one comes back, limits do not grow while somebody waits, and
drain is left through maintenance.
"""

import random
import sys
import time

from cases import Recording, configuration
from running import HAProxy, wait_until

RULES = [
    "http-request set-priority-class hdr_val(x-class)",
    "http-request set-priority-offset hdr_val(x-offset)",
]
PLAIN = ["maxconn 1", "maxconn 2", "maxconn 1"]
SHORT = ["maxconn 1 maxqueue 1", "maxconn 2 maxqueue 2", "maxconn 1"]
GROWING = ["minconn 1 maxconn 4", "maxconn 2", "minconn 2 maxconn 3"]
ALONE = ["maxconn 2"]
DEEP = ["maxconn 1 maxqueue 4", "maxconn 2 maxqueue 3 weight 2", "maxconn 1 maxqueue 6"]
SPARE = ["maxconn 1", "maxconn 2 backup", "maxconn 1 maxqueue 2 backup"]
RING = "balance hdr(x-k)\nhash-type consistent"
# Leaving a server's queue, under the options that say what happens to it.
OPTIONS = ["", "option redispatch", "option persist", "option redispatch\noption persist"]
TEXTS = (
    [("priority", "balance roundrobin", ALONE), ("priority", "balance leastconn", PLAIN)]
    + [("priority", "balance hdr(x-k)", SHORT)]
    + [("short", "balance %s\noption redispatch" % how, SHORT)
       for how in ("roundrobin", "static-rr", "leastconn", "first")]
    + [("short", "balance %s" % how, SHORT) for how in ("roundrobin", "leastconn", "hdr(x-k)")]
    + [("growing", "balance %s\nfullconn %d" % how, GROWING)
       for how in (("roundrobin", 8), ("first", 6), ("leastconn", 12), ("static-rr", 20))]
    + [("growing", RING + "\nfullconn 10", GROWING)]
    + [("spare", "balance %s" % how, SPARE) for how in ("roundrobin", "leastconn")]
    + [("spare", "balance first\noption allbackups\noption redispatch", SPARE)]
    + [("ring", RING + "\nhash-balance-factor 130", SHORT)]
    + [("leaving", "balance roundrobin\n%s" % options, PLAIN) for options in OPTIONS]
    + [("leaving", RING + "\n%s" % options, PLAIN) for options in OPTIONS]
    + [("deep", "balance %s" % how, DEEP) for how in ("leastconn", "roundrobin", "first")]
    + [("deep", "balance leastconn\noption redispatch", DEEP)]
    + [("deep", "balance leastconn\nfullconn 12", GROWING)]
    + [("giving up", "balance %s\nfullconn 12" % how, GROWING)
       for how in ("first", "leastconn")]
)
ORDERS = {"leaving": 25, "priority": 0}


class Play:
    """One configuration, and what is going on there."""

    def __init__(self, draw, kind, lines, servers):
        self.draw, self.kind, self.servers = draw, kind, servers
        lines = lines.split("\n") + ["cookie SRV insert indirect"]
        words = ["cookie s%d %s" % pair for pair in enumerate(servers, 1)]
        self.text = configuration(lines, words, RULES)
        self.proxy = HAProxy(self.text)
        self.started = time.monotonic()
        self.open, self.waiting, self.drained = [], [], set()
        self.steps, self.number = [], 0

    def step(self):
        # HAProxy tells arrivals apart by the millisecond.
        time.sleep(0.004)
        at = int(1000 * (time.monotonic() - self.started))
        orders = ORDERS.get(self.kind, 6)
        what = self.draw.randint(0, 99)
        if what < orders:
            self.orders(at)
        elif what < orders + (20 if self.kind == "giving up" else 4) and self.waiting:
            self.note(at, gives_up=self.give_up())
        elif self.open and (what > 62 or len(self.waiting) > 11):
            self.note(at, ends=self.finish())
        else:
            self.note(at, comes=self.come())

    def note(self, at, **what):
        served, refused, left = [], [], 0
        wait_until(self.is_settled)
        for client in list(self.waiting):
            if client.answer is None:
                continue
            self.waiting.remove(client)
            if isinstance(client.answer, str):
                served.append([client.number, client.answer])
                self.open.append(client)
            else:
                refused.append([client.number, client.answer])
        queued, _, anybody = self.proxy.counts()
        step = {"at": at, **what}
        for name, value in [("served", served), ("refused", refused)]:
            if value:
                step[name] = value
        step["queued"] = [queued[name] for name in sorted(queued)] + [anybody]
        self.steps.append(step)

    def is_settled(self):
        """Everybody is open, waits, or has an answer, and it stays so."""
        return self.is_counted() and (time.sleep(0.003) or self.is_counted())

    def is_counted(self):
        before = [client.answer for client in self.waiting]
        queued, served, anybody = self.proxy.counts()
        new = sum(isinstance(answer, str) for answer in before)
        waits = sum(answer is None for answer in before)
        counted = (sum(queued.values()) + anybody, sum(served.values()))
        return counted == (waits, len(self.open) + new)

    def come(self):
        draw, number = self.draw, self.number
        self.number += 1
        request = {"number": number, "key": "k%d" % draw.randint(0, 9)}
        if draw.random() < (0.8 if self.kind == "leaving" else 0.4):
            request["cookie"] = "s%d" % draw.randint(1, len(self.servers))
        often = 0.7 if self.kind == "priority" else 0.2
        if draw.random() < often:
            request["class"] = draw.choice([-2047, -3, -1, 1, 2, 2047])
        if draw.random() < often:
            # Steps of two seconds, which no sequence here takes.
            request["offset"] = draw.choice([-200, -4, -2, 2, 4, 200]) * 1000
        fields = {"x-k": request["key"], "x-class": request.get("class", 0)}
        fields["x-offset"] = request.get("offset", 0)
        if "cookie" in request:
            fields["Cookie"] = "SRV=" + request["cookie"]
        self.waiting.append(self.proxy.send(number, fields=fields, hold=True))
        return request

    def finish(self):
        client = self.open.pop(self.draw.randrange(len(self.open)))
        self.proxy.end(client)
        return client.number

    def give_up(self):
        client = self.waiting.pop(self.draw.randrange(len(self.waiting)))
        client.leave()
        return client.number

    def orders(self, at):
        server = self.draw.randint(1, len(self.servers))
        leaves = ["state maint", "state drain", "health down", "health stopping"]
        words = self.draw.choice(leaves + ["state ready", "health up"] * 3)
        queued = self.steps[-1]["queued"][:-1] if self.steps else [0]
        if self.kind == "leaving" and max(queued) > 0 and self.draw.random() < 0.7:
            server, words = queued.index(max(queued)) + 1, self.draw.choice(leaves)
        comes_back = words in ("state ready", "health up")
        waits_for_any = self.steps and self.steps[-1]["queued"][-1] > 0
        has_backups = "backup" in self.text
        grows = "minconn" in self.text and self.waiting
        if grows or waits_for_any and (comes_back or has_backups):
            return
        if words == "state ready" and server in self.drained:
            self.order(at, server, "state maint")
        if words == "state drain":
            self.drained.add(server)
        elif words == "state ready":
            self.drained.discard(server)
        self.order(at, server, words)

    def order(self, at, server, words):
        line = "set server app/s%d %s" % (server, words)
        answer = self.proxy.command(line)
        assert answer == "", answer
        self.note(at, order=line)


def main(seed=2612):
    out = Recording("queues.jsonl")
    for number, (kind, lines, servers) in enumerate(TEXTS):
        for again in range({"leaving": 3, "priority": 3, "deep": 2}.get(kind, 1)):
            play = Play(random.Random(seed * 1000 + number * 10 + again), kind, lines, servers)
            for _ in range(60):
                play.step()
            play.proxy.close()
            name = "queues-%s-%02d%s" % (kind.replace(" ", "-"), number, "abc"[again])
            out.write({"id": name, "config": play.text, "steps": play.steps})
    out.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
