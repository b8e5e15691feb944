"""What `balance random` comes to. Its draws are HAProxy's own, so that shares are recorded.

* `one_by_one`: how often each server was chosen, nobody else being there.
* `held`: in several rounds, the servers chosen for sessions that all stay open.
* `until_full`: in several rounds, how many were served until the first had to wait, though
  servers had slots left, or none had.
* `exact`: as `one_by_one`, where only one server can be chosen.
"""

import sys

from cases import Recording, configuration
from running import HAProxy, wait_until

ONE_BY_ONE = [
    ("balance random", ["weight 1", "weight 2", "weight 5"]),
    ("balance random(1)", ["weight 1", "weight 2", "weight 5"]),
    ("balance random(5)", ["weight 100", "weight 20", "weight 256", "weight 0"]),
    ("balance random(1)", [""] * 10),
    ("balance random(3)", ["weight 3", "weight 1 backup", "weight 2 disabled", "weight 7"]),
    ("balance random(2)\noption allbackups", ["weight 3 backup", "weight 9 backup"]),
]
HELD = [
    ("balance random(1)", ["weight 1", "weight 2", "weight 5"]),
    ("balance random(2)", ["weight 1", "weight 2", "weight 5"]),
    ("balance random(4)", ["weight 10"] * 4),
    ("balance random(1)\nhash-balance-factor 101", ["weight 1", "weight 2", "weight 5"]),
    ("balance random(1)\nhash-balance-factor 150", ["weight 3", "weight 1", "weight 1"]),
    ("balance random(2)\nhash-balance-factor 125", ["weight 100", "weight 40", "weight 7"]),
    ("balance random(1)\nhash-balance-factor 200", ["weight 10"] * 6),
]
UNTIL_FULL = [
    ("balance random(1)", ["maxconn 1"] * 4),
    ("balance random(2)", ["maxconn 1"] * 4),
    ("balance random(3)", ["maxconn 2 weight 2", "maxconn 1 weight 1", "maxconn 1 weight 5"]),
    ("balance random(1)\nhash-balance-factor 110", ["maxconn 2"] * 3),
]
EXACT = [
    ("balance random(2)", ["weight 7"]),
    ("balance random(1)", ["weight 0", "weight 3", "disabled"]),
    ("balance random(3)", ["weight 0", "weight 5 backup", "backup"]),
    ("balance random(2)", ["weight 0", "disabled"]),
]


def one_by_one(proxy, requests):
    chosen = [proxy.ask(number).answer for number in range(requests)]
    names = [server.name for server in proxy.servers]
    # Neither a status of HAProxy's own may be there.
    assert set(chosen) <= set(names)
    return [chosen.count(name) for name in names]


def held(proxy, number, sessions):
    """One round, and the number of its last session."""
    clients = []
    for number in range(number, number + sessions):
        clients.append(proxy.ask(number, hold=True))
    end(proxy, clients)
    return [client.answer for client in clients]


def until_full(proxy, number):
    clients = []
    while True:
        client = proxy.send(number, hold=True)
        number += 1
        wait_until(lambda: client.answer is not None or proxy.counts()[2] > 0)
        clients.append(client)
        if client.answer is None:
            break
    answer = len(clients) - 1
    # It gets the slot of the first that ends.
    end(proxy, clients)
    return answer


def end(proxy, clients):
    for client in clients:
        proxy.end(client)
    wait_until(lambda: sum(proxy.counts()[1].values()) == 0)


def main():
    out = Recording("random.jsonl")
    kinds = {
        "one_by_one": (ONE_BY_ONE, lambda proxy: one_by_one(proxy, 3000)),
        "held": (HELD, lambda proxy: [held(proxy, 100 * n, 48) for n in range(20)]),
        "until_full": (UNTIL_FULL, lambda proxy: [until_full(proxy, 100 * n) for n in range(300)]),
        "exact": (EXACT, lambda proxy: [proxy.ask(number).answer for number in range(20)]),
    }
    for kind, (texts, observe) in kinds.items():
        for number, (lines, servers) in enumerate(texts):
            text = configuration(lines.split("\n"), servers)
            proxy = HAProxy(text)
            case = {"id": "random-%s-%d" % (kind, number), "config": text}
            out.write({**case, kind: observe(proxy)})
            proxy.close()
    out.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
