"""SGLang's plain scheduler with memory of the host: each page there has a number, too.

A trace's ``host`` has ``pages``, ``page_bytes``, ``bytes_per_s`` (0: transfers take no time) and ``layers``; its
configuration ``hicache_write_policy``. Written from the rules: a leaf of what the device has goes, and stays in the
tree if the host has a copy; a leaf of the tree goes from the host.
"""

import hurried_twins
import sglang_twin
from sglang_twin_memory import Node, Tree
from twin_host import Link

LEAST = 10  # tokens that are worth a load


class HostedTree(Tree):
    """Nodes whose ``pages`` are None are not on the device; whose ``copy`` is None not on the host."""

    def __init__(self, page, order, pairs, pages, policy):
        super().__init__(page, order, pairs)
        self.root.copy = None
        self.free, self.back = set(range(pages)), policy == "write_back"
        self.least_hits = 1 if policy == "write_through" else 2
        self.asked, self.written_back, self.both = [], [], []
        self.lost = 0

    # --- where things are
    def device_node(self, node):
        return next((n for n in node.path() if n.pages is not None), self.root)

    def on_device(self, node, length):
        return length - sum(len(n.key) for n in node.path() if n.pages is None)

    def evictable(self):
        return sum(len(n.key) for n in self.nodes() if n.pages is not None and not n.locks)

    def size(self):
        return sum(len(n.key) for n in self.nodes() if n.pages is not None)

    def is_leaf(self, node):
        """Of what the device has, and nobody uses it."""
        below = any(n.pages is not None for n in node.children.values())
        return node.pages is not None and not node.locks and not below

    def note(self, node):
        """Those that are in both, in the order in which they came to be; of those that load, not."""
        both = node.pages is not None and node.copy is not None and not node.loading
        if self.back and both and node not in self.both:
            self.both.append(node)
        if self.back and not both and node in self.both:
            self.both.remove(node)

    # --- changes
    def split(self, node, at):
        pages, copy, cut = node.pages, node.copy, at // self.page
        node.pages = pages or []
        upper = super().split(node, at)
        upper.copy, upper.loading = None, node.loading
        if pages is None:
            upper.pages = node.pages = None
        if copy is not None:
            upper.copy, node.copy = copy[:cut], copy[cut:]
        self.note(upper)
        return upper

    def walk(self, ids, counted=None, pages=None):
        """With the pages of who inserts them: what is not on the device takes them over."""
        self.now += 1
        node, length, self.there = self.root, 0, 0
        while ids[length:]:
            child = node.children.get(ids[length : length + self.page])
            if child is None:
                break
            child.used = self.now
            same = self.common(child.key, ids[length:])
            inside = same < len(child.key)
            node = self.split(child, same) if inside else child
            end = length + same
            if pages is not None and node.pages is None:
                node.pages = pages[length // self.page : end // self.page]
                self.note(node)
            else:
                self.there = end
            length = end
            if counted is not None and length > counted:
                self.wanted(node)
            if inside:
                break
        return node, length

    def insert(self, ids, pages, counted):
        node, length = self.walk(ids, counted, pages)
        there = self.there
        if length < len(ids):
            new = Node(self, node, ids[length:], pages[length // self.page :])
            new.copy, new.loading, new.used = None, 0, self.now
            node.children[new.key[: self.page]] = new
            if len(ids) > counted:
                self.wanted(new)
        return there

    def wanted(self, node):
        if self.back:
            return
        node.hits += 1
        if node.copy is not None or node.hits < self.least_hits:
            return
        for n in reversed([n for n in node.path() if n.copy is None]):
            if not self.room(len(n.pages)):
                return
            n.copy = [self.free.pop() for _ in n.pages]
            for above in n.path():
                above.locks += 1
            self.asked.append((n, len(n.copy)))

    def room(self, pages):
        short = pages - len(self.free)
        return short <= 0 or self.shrink(short) >= short

    def shrink(self, pages):
        """So many pages of the host, or all that can go."""
        goal, before = len(self.free) + pages, len(self.free)
        if self.back:
            self.reclaim(goal)
        while len(self.free) < goal:
            leaves = [n for n in self.nodes() if n.pages is None and not n.children and not n.locks]
            if not leaves:
                break
            self.remove(min(leaves, key=self.rank))
        self.lost += len(self.free) - before
        return len(self.free) - before

    def reclaim(self, goal):
        """Copies of what the device has too; leaves of the device last."""
        for spare in (True, False):
            for n in list(self.both):
                if len(self.free) >= goal:
                    return
                both = n.pages is not None and n.copy is not None
                if both and (n.loading or (spare and self.is_leaf(n))):
                    continue
                if both:
                    self.release(n)
                self.both.remove(n)

    def release(self, node):
        assert not self.free & set(node.copy)
        self.free |= set(node.copy)
        node.copy = None

    def remove(self, node):
        if node.copy is not None:
            self.release(node)
        if node in self.both:
            self.both.remove(node)
        del node.parent.children[node.key[: self.page]]

    def evict(self, tokens):
        given = []
        while len(given) * self.page < tokens:
            leaves = [n for n in self.nodes() if self.is_leaf(n)]
            if not leaves:
                break
            node = min(leaves, key=self.rank)
            if self.back and node.copy is None and self.room(len(node.pages)):
                node.copy = [self.free.pop() for _ in node.pages]
                self.written_back.append(len(node.pages))
                self.note(node)
            given += node.pages
            if node.copy is None:
                self.remove(node)
            node.pages = None
        return given


class Hosted:
    """An engine with such a tree, and the link to it."""

    def __init__(self, trace):
        super().__init__(trace)
        self.host = host = trace["host"]
        self.tree = HostedTree(
            self.page, self.c["radix_eviction_policy"], self.drafting["states"], host["pages"],
            self.c.get("hicache_write_policy", "write_through"),
        )  # fmt: skip
        self.loads, self.saves = (Link(host["bytes_per_s"]) for _ in range(2))
        self.writing, self.loading, self.chosen_loads = [], [], []
        self.held = self.at = self.numbers = 0
        self.layered = None

    # --- transfers
    def through(self):
        return max(self.at, self.end, self.held)

    def send_writes(self):
        asked, self.tree.asked = self.tree.asked, []
        if asked:
            size = sum(pages for _, pages in asked) * self.host["page_bytes"]
            over = self.saves.send(self.through(), size)
            self.writing.append((over, [node for node, _ in asked]))

    def call(self, now):
        self.at = now
        self.send_writes()
        for one in [x for x in self.writing if x[0] <= now]:
            self.writing.remove(one)
            for node in one[1]:
                self.lock(node, -1)
        for one in [x for x in self.loading if x[0] <= now]:
            self.loading.remove(one)
            for node, number in one[1]:
                for n in node.path():
                    if n.loading == number:
                        n.loading = 0
                        self.tree.note(n)
                self.lock(node, -1)
        return super().call(now)

    def make_free(self, tokens):
        super().make_free(tokens)
        for pages in self.tree.written_back:
            self.held = self.saves.send(self.through(), pages * self.host["page_bytes"])
        self.tree.written_back = []

    def load_back(self, r, node, tokens):
        if tokens < LEAST:
            return False
        self.lock(node, 1)
        self.make_free(tokens)
        if len(self.free) * self.page < tokens:
            self.lock(node, -1)
            return False
        self.numbers += 1
        for n in node.path():
            if n.pages is None:
                n.pages = [self.free.pop() for _ in range(len(n.key) // self.page)]
                n.loading = self.numbers if self.tree.back else 0
        self.chosen_loads.append((node, self.numbers, tokens))
        r.loaded += tokens
        return True

    def chosen(self):
        loads, self.chosen_loads = self.chosen_loads, []
        if not loads:
            return
        count = sum(tokens for _, _, tokens in loads) // self.page * self.host["page_bytes"]
        begin = max(self.through(), self.loads.free)
        over = self.loads.send(begin, count)
        self.loading.append((over, [(node, number) for node, number, _ in loads]))
        self.layered = (begin, over)

    def starts(self, now):
        return max(now, self.end, self.held)

    def ends(self, start, took):
        """Each layer waits for its part of what is loaded, and for the layer before."""
        if self.layered is None:
            return start + took
        (begin, over), self.layered = self.layered, None
        layers = self.host["layers"]
        first, last = -(-(over - begin) // layers), -(-took // layers)
        return max(start + took, begin + first + took, over + last)

    def turned(self):
        super().turned()
        self.send_writes()

    def next_time(self):
        soon = super().next_time()
        times = [] if soon is None else [soon]
        self.send_writes()
        if self.waiting or any(r.holds for r in self.requests):
            times += [one[0] for one in [*self.writing, *self.loading]]
        return min(times, default=None)

    def check(self):
        """Each page is somewhere exactly once, on the device and on the host."""
        held = [p for n in self.tree.nodes() for p in n.pages or []]
        for r in self.requests:
            held += r.row[r.protected // self.page :]
        assert sorted([*held, *self.free]) == list(range(self.pages))
        held = [p for n in self.tree.nodes() for p in n.copy or []]
        assert sorted([*held, *self.tree.free]) == list(range(self.host["pages"]))
        for n in self.tree.nodes():
            assert len(n.pages or n.copy) * self.page == len(n.key)
            assert n.pages is None or n.parent is self.tree.root or n.parent.pages is not None
            assert self.tree.back or n.copy is None or not n.parent.parent or n.parent.copy


class Engine(Hosted, sglang_twin.Engine):
    pass


class Hurried(Hosted, hurried_twins.Sglang):
    """Whose clients may give up."""
