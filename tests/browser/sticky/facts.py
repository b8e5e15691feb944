"""What was seen, said as it is seen, and counted at the end."""

import traceback


class Facts:
    def __init__(self, proxy):
        self.proxy, self.seen, self.failed = proxy, {}, 0

    def about(self, topic):
        print("\n%s: %s" % (self.proxy, topic), flush=True)
        self.topic = topic

    def holds(self, text, condition, seen=""):
        """`seen` is what must be the same with every proxy: nothing that time decides."""
        self.failed += not condition
        seen = words(seen)
        self.seen["%s: %s" % (self.topic, text)] = (bool(condition), seen)
        mark = "ok  " if condition else "FAIL"
        print("  %s %s%s" % (mark, text, ": " + seen if seen else ""), flush=True)

    def same(self, text, got, expected):
        self.holds(text, got == expected, got)
        if got != expected:
            print("       expected: %s" % words(expected), flush=True)

    def gather(self, scenario, *needs):
        """A scenario that breaks off is a failure, and the others go on."""
        try:
            scenario(self, *needs)
        except Exception:
            traceback.print_exc()
            self.holds("%s runs to its end" % scenario.__name__, False)


def words(value):
    if isinstance(value, (set, list)):
        texts = [words(item) for item in value]
        return ", ".join(sorted(texts) if isinstance(value, set) else texts)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def differences(one, other):
    """Facts that one has seen otherwise than the other, or not at all."""
    names = list(one.seen) + [name for name in other.seen if name not in one.seen]
    pairs = [(name, one.seen.get(name), other.seen.get(name)) for name in names]
    return [(name, a, b) for name, a, b in pairs if a != b]
