"""Memory of SGLang's plain twin: the tree of prefixes as tuples, pages with numbers, rows of requests."""

import itertools


class Node:
    def __init__(self, tree, parent, key, pages):
        self.parent, self.key, self.pages, self.children = parent, key, pages, {}
        self.locks = self.hits = self.used = 0
        self.born = next(tree.births)

    def path(self):
        node = self
        while node.parent:
            yield node
            node = node.parent


class Tree:
    def __init__(self, page, order, pairs=False):
        self.page, self.order, self.pairs = page, order, pairs
        self.births, self.now = itertools.count(), 0
        self.root = Node(self, None, (), [])

    def nodes(self):
        left = list(self.root.children.values())
        while left:
            node = left.pop()
            left += node.children.values()
            yield node

    def common(self, a, b):
        same = 0
        while same < min(len(a), len(b)) and a[same] == b[same]:
            same += 1
        return same // self.page * self.page

    def split(self, node, at):
        upper = Node(self, node.parent, node.key[:at], node.pages[: at // self.page])
        upper.locks, upper.hits, upper.used = node.locks, node.hits, node.used
        upper.born = node.born
        node.parent.children[node.key[: self.page]] = upper
        node.parent, node.key, node.pages = upper, node.key[at:], node.pages[at // self.page :]
        upper.children[node.key[: self.page]] = node
        return upper

    def walk(self, ids, counted=None):
        self.now += 1
        node, length = self.root, 0
        while ids[length:]:
            child = node.children.get(ids[length : length + self.page])
            if child is None:
                break
            child.used = self.now
            same = self.common(child.key, ids[length:])
            inside = same < len(child.key)
            node = self.split(child, same) if inside else child
            length += same
            if counted is not None and length > counted:
                node.hits += 1
            if inside:
                break
        return node, length

    def keys(self, ids):
        """Whole pages of what the tree knows ids by: themselves, or pairs of one and the next."""
        ids = tuple(itertools.pairwise(ids)) if self.pairs else tuple(ids)
        return ids[: len(ids) // self.page * self.page]

    def match(self, ids):
        return self.walk(self.keys(ids))

    def insert(self, ids, pages, counted):
        node, length = self.walk(ids, counted)
        if length < len(ids):
            new = Node(self, node, ids[length:], pages[length // self.page :])
            new.used, new.hits = self.now, int(len(ids) > counted)
            node.children[new.key[: self.page]] = new
        return length

    def rank(self, node):
        return {
            "lru": node.used, "mru": -node.used, "fifo": node.born, "filo": -node.born,
            "lfu": (node.hits, node.used), "slru": (node.hits >= 2, node.used),
        }[self.order]  # fmt: skip

    def evict(self, tokens):
        """The pages of whole leaves, until there are so many tokens."""
        given = []
        while len(given) * self.page < tokens:
            leaves = [n for n in self.nodes() if not n.locks and not n.children]
            if not leaves:
                break
            node = min(leaves, key=self.rank)
            given += node.pages
            del node.parent.children[node.key[: self.page]]
        return given

    def device_node(self, node):
        """The last on its path that the device has."""
        return node

    def on_device(self, node, length):
        return length

    def evictable(self):
        return sum(len(n.key) for n in self.nodes() if not n.locks)

    def size(self):
        return sum(len(n.key) for n in self.nodes())


class Request:
    def __init__(self, given, index):
        self.id, self.priority = index, given.get("priority", 0)
        self.prompt, self.given_outputs = given["prompt_tokens"], given["max_tokens"]
        self.said = given.get("declared", self.given_outputs)
        self.ids = [start + k for start, n in given["prompt"] for k in range(n)]
        self.output_id = given.get("output_id", 10**12 + index * 10**6)
        self.true = 0  # outputs, with those that are in flight
        self.outputs = self.prefix = self.end = self.protected = self.inserted = self.committed = 0
        self.row, self.node = [], None
        self.holds = self.finished = self.retracted = False
        self.arrival = self.scheduled = self.first = self.last = self.hit = None
        self.preempted = self.hits = 0
        self.hosted = self.loaded = 0
        self.status, self.leaving, self.delivered = "waiting", False, None

    @property
    def known(self):
        return self.prompt + self.outputs

    def tokens(self, n):
        more = [self.output_id + j for j in range(n - self.prompt)]
        return tuple((self.ids[:n] + more)[:n])


class Memory:
    """Pages, each of them somewhere exactly once: free, in a node of the tree, or in the row of a request."""

    def ceil(self, tokens):
        return -(-tokens // self.page) * self.page

    def count(self, tokens):
        return -(-tokens // self.page)

    def give(self, pages):
        assert not self.free & set(pages) and len(set(pages)) == len(pages)
        self.free |= set(pages)

    def make_free(self, tokens):
        short = tokens - len(self.free) * self.page
        if self.radix and short > 0:
            self.give(self.tree.evict(short))

    def grow(self, r, tokens):
        while len(r.row) < self.count(tokens):
            r.row.append(self.free.pop())
        r.committed = tokens

    def lock(self, node, by):
        for n in node.path():
            n.locks += by
            assert n.locks >= 0

    def checkpoint(self, r, tokens):
        if not self.radix:
            return
        ids = self.tree.keys(r.tokens(tokens))
        tokens = len(ids)
        before = self.tree.insert(ids, r.row[: tokens // self.page], r.inserted)
        r.inserted = max(r.inserted, tokens)
        prompt = len(self.tree.keys(r.tokens(r.prompt)))
        if 0 < prompt < tokens:
            self.tree.insert(ids[:prompt], r.row[: prompt // self.page], prompt)
        self.give(r.row[r.protected // self.page : before // self.page])
        node, length = self.tree.walk(ids)
        assert length == tokens
        r.row[: tokens // self.page] = [p for n in reversed(list(node.path())) for p in n.pages]
        r.protected = tokens
        self.lock(node, 1)
        self.lock(r.node, -1)
        r.node = node

    def release(self, r, tokens=None):
        if tokens is not None:
            self.checkpoint(r, tokens)
        self.give(r.row[r.protected // self.page :])
        if self.radix:
            self.lock(r.node, -1)
        r.row, r.node, r.holds, r.protected, r.inserted, r.committed = [], None, False, 0, 0, 0

    def check(self):
        held = [p for n in self.tree.nodes() for p in n.pages]
        for r in self.requests:
            held += r.row[r.protected // self.page :]
        assert sorted([*held, *self.free]) == list(range(self.pages))
