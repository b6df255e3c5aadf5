"""Prompts in SGLang's plain twin: what a batch of them may take, who is admitted, how much of whom."""

REFRESH, REFRESHED, IN_BATCH = 32, 128, 32


class Adder:
    def __init__(self, engine, mixed):
        c = engine.c
        self.engine, self.rows = engine, []
        self.input = c["max_prefill_tokens"] - mixed
        self.chunk = c["chunked_prefill_size"] - mixed if engine.chunks else None
        self.total = self.current = mixed
        ratio = 1.0 if c["ignore_eos"] else engine.ratio
        clip = c["clip"]
        self.expected = ratio * sum(min(r.most - r.outputs, clip) for r in engine.running)
        self.states = None

    def there(self, pinned=0):
        return len(self.engine.free) * self.engine.page + self.engine.tree.evictable() - pinned

    def remaining(self, pinned=0):
        return float(self.there(pinned) - self.total) - self.expected

    def state(self):
        if not (self.remaining() > 0 and self.there() - self.current > 0):
            return "no token"
        if self.input <= 0 or (self.chunk is not None and self.chunk <= 0):
            return "other"
        return "go on"

    def reserve(self, tokens, outputs):
        paged = self.engine.ceil(tokens)
        self.total += paged + self.engine.page + outputs
        self.current += paged + self.engine.page
        self.input -= paged
        if self.chunk is not None:
            self.chunk -= paged


class Prompts:
    """What an engine does before it looks at those that run."""

    def room_for(self, held=0):
        rows = sum(r.holds for r in self.requests)
        return min(self.most_rows - len(self.running), self.most_rows - rows + held)

    def sort_by_prefix(self):
        """Most of its prompt found first; of those that begin alike and find little, one."""
        inserted, key = [], {}
        for r in self.waiting:
            ids = r.tokens(r.known)
            node, length = self.tree.match(ids)
            key[r] = -min(length, r.known - 1)
            if self.tree.on_device(node, length) > IN_BATCH:
                continue
            if any(
                ids[:IN_BATCH] == other[:IN_BATCH]
                for other in inserted
                if len(other) >= IN_BATCH and len(ids) >= IN_BATCH
            ):
                key[r] = float("inf")
            else:
                inserted.append(ids)
        self.waiting.sort(key=key.get)

    def sort(self):
        sign = 1 if self.c["schedule_low_priority_values_first"] else -1
        priority = self.c["enable_priority_scheduling"]
        longest = self.c["schedule_policy"] == "lof"
        self.waiting.sort(key=lambda r: (sign * r.priority * priority, -r.most * longest))

    def prefill(self, batch, now):
        if not self.running:
            self.full = False
        if (self.full or not self.waiting) and not self.chunked:
            return False
        if not self.chunked and self.room_for() <= 0:
            self.full = True
            return False
        by_prefix = self.radix and self.c["schedule_policy"] == "lpm"
        if by_prefix and len(self.waiting) <= REFRESHED:
            self.sort_by_prefix()
        elif not by_prefix:
            self.sort()
        active = by_prefix and len(self.waiting) <= REFRESHED
        lru = self.c["radix_eviction_policy"] == "lru"
        if self.radix and lru and self.waiting and not active:
            if self.passes % REFRESH == 0:
                for r in reversed(self.waiting[:REFRESHED]):
                    self.tree.match(r.tokens(r.known))
            self.passes += 1
        adder = Adder(self, len(self.running) if self.mixed else 0)
        self.adder = adder
        continuing = int(bool(self.chunked))
        if self.chunked and not self.go_on(adder, batch):
            return False
        for r in list(self.waiting):
            if adder.state() == "other":
                break
            if len(adder.rows) >= self.room_for(continuing):
                self.full = True
            if self.full:
                break
            verdict = self.add(adder, batch, r)
            if verdict == "no token":
                self.full = bool(adder.rows or self.running)
            if verdict != "go on":
                break
        if not adder.rows:
            return False
        self.waiting = [r for r in self.waiting if r not in adder.rows]
        self.chosen()
        extend = sum(r.end - r.prefix for r in adder.rows)
        self.make_free(extend + (len(adder.rows) * self.page if self.page > 1 else 0))
        for r in adder.rows:
            if r.scheduled is None:
                r.scheduled, r.hit = now, r.prefix
            if not r.holds:
                r.hits += r.prefix
            r.holds, r.retracted = True, False
            self.grow(r, r.end)
            batch.prompts.append((r, r.end - r.prefix, r.prefix))
        if self.mixed and self.running:
            if self.without_ending():
                self.full = False
            if self.running and self.fits(self.running):
                batch.decodes = self.running
                self.a_token_each()
                self.running = []
        return True

    def go_on(self, adder, batch):
        r = self.chunked
        tokens = min(adder.chunk, int(adder.remaining()))
        if tokens <= 0:
            tokens = adder.chunk
        rest = r.known - r.prefix
        tokens = min(tokens, rest)
        need = (self.count(r.prefix + tokens) - self.count(r.prefix)) * self.page
        if tokens <= 0 or need > adder.there():
            return False
        r.end = r.prefix + tokens
        adder.rows.append(r)
        adder.reserve(tokens, min(r.most, self.c["clip"]) if tokens == rest else 0)
        if tokens == rest:
            self.chunked = None
        else:
            batch.middle.add(r)
        return True

    def add(self, adder, batch, r):
        c, clip = self.c, self.c["clip"]
        if c["prefill_max_requests"] and len(adder.rows) >= c["prefill_max_requests"]:
            return "other"
        deepest, length = self.tree.root, 0
        if self.radix:
            deepest, length = self.tree.match(r.tokens(r.known - 1))
        node = self.tree.device_node(deepest)
        prefix = self.tree.on_device(deepest, length)
        exact = c["ignore_eos"] and not self.radix
        if exact:
            if not self.fits_for_good(adder, r, r.known - prefix):
                return "no token"
        else:
            pinned = sum(len(n.key) for n in node.path() if not n.locks)
            total = r.known - prefix + min(max(r.most - r.outputs, 0), clip) + self.page
            if not total < adder.remaining(pinned):
                return "no token"
        r.hosted = length - prefix
        extend, middle = self.piece(adder, r.known - length, exact)
        if extend and length > prefix and self.load_back(r, deepest, length - prefix):
            node, prefix = deepest, length
        elif extend and length > prefix:
            extend, middle = self.piece(adder, r.known - prefix, exact)
        if not extend:
            return "other"
        r.prefix, r.end, r.node, r.protected = prefix, prefix + extend, node, prefix
        r.true = r.outputs + 1
        r.row = [p for n in reversed(list(node.path())) for p in n.pages]
        self.lock(node, 1)
        adder.rows.append(r)
        adder.reserve(extend, 0 if middle else min(r.most, clip))
        if middle:
            self.chunked = r
            batch.middle.add(r)
        return adder.state()

    def piece(self, adder, extend, exact):
        """How much of it, and whether more is left."""
        size = extend if exact else self.ceil(extend)
        if not self.chunks:
            too_long = not exact and adder.rows and size >= adder.input
            return (0 if too_long else extend), False
        if size <= adder.chunk:
            return extend, False
        return (adder.chunk if exact else adder.chunk // self.page * self.page), True

    def load_back(self, r, node, tokens):
        return False

    def chosen(self):
        """All of a batch are."""

    def fits_for_good(self, adder, r, extend):
        paged = self.ceil(extend) + self.page
        now = adder.there() - adder.current
        if paged > min(now, adder.remaining()):
            return False

        def state(q):
            return (q.most - q.outputs, q.known)

        if adder.states is None:
            adder.states = [state(q) for q in [r, *self.running, *adder.rows] if q.most > q.outputs]
            adder.states.sort(key=lambda s: s[0])
        else:
            left = state(r)[0]
            at = 0
            for at in range(len(adder.states)):
                if left <= adder.states[at][0]:
                    break
            adder.states.insert(at, state(r))
        given = 0
        for i, (left, held) in enumerate(adder.states):
            together = len(adder.states) - i
            if now - paged + given - left * together <= together:
                return False
            given += held
        return True
