"""TensorRT-LLM's scheduler once more, in plain Python: lists, a tree of nodes, no counters, written from its rules.

Memory first: under guaranteed-no-evict what runs has its blocks to the end, and prompts are taken in order while
theirs are left; under max-utilisation only the next step's have to be there, else the last that was begun is paused.
Then the step: answers get a token each, prompts what is left of it. Blocks enter the tree when the step that computed
them has been seen, and when a request leaves or is paused; free ones are taken in the order they were given back.

With a trace's ``drafting`` an answer takes a token and its drafts of the step, and slots for all of them beside
those that it has; what was not kept is taken back when the step has been seen, and the blocks that were left with
it are the next to be taken.
"""

import heapq
import itertools

from trtllm_tree_twin import Blocks
from twin import MOST_TURNS, Circles, kept_of


class Request:
    def __init__(self, given, index):
        self.id, self.input, self.wanted = index, given["prompt_tokens"], given["max_tokens"]
        self.declared = given.get("declared", self.wanted)
        self.ids = [start + k for start, n in given["prompt"] for k in range(n)]
        self.output_id = given.get("output_id", 10**12 + index * 10**6)
        self.outputs = self.preempted = self.hits = self.life = self.told = 0
        self.phase, self.blocks = "waiting", []
        self.arrival = self.scheduled = self.first = self.last = self.hit = None
        self.status, self.gone, self.delivered = "waiting", False, None

    @property
    def known(self):
        return self.input + self.outputs

    def tokens(self, n):
        return [
            self.ids[i] if i < self.input else self.output_id + i - self.input for i in range(n)
        ]


class Engine:
    def __init__(self, trace):
        self.c, self.step_time, self.given = trace["config"], trace["step_time"], trace["requests"]
        self.size = self.c["tokens_per_block"]
        self.requests = [Request(r, i) for i, r in enumerate(self.given)]
        self.pool = Blocks(-(-self.c["max_tokens"] // self.size), self.size)
        self.reuse, self.policy = self.c["enable_block_reuse"], self.c["capacity_scheduler_policy"]
        self.active, self.later, self.rows = [], [], []  # who arrived and did not end, in order
        self.end = self.waits = 0
        self.drafting = trace.get("drafting", {"acceptance": [], "lookahead": 0, "seed": 0})
        self.wide = 1 + len(self.drafting["acceptance"])
        self.beside = self.drafting["lookahead"]
        self.given_out = []
        for i, r in enumerate(self.given):
            if "after" not in r:
                heapq.heappush(self.later, (r["arrival"], i))

    def up(self, n):
        return -(-n // self.size)

    def latest(self, r):
        return min(r.input + r.declared, self.c["max_seq_len"])

    # --- who fits the memory
    def lookup(self, r):
        return self.pool.walk(r.tokens(r.known)) if self.reuse else ([], None)

    def shared(self, r):
        """Whole blocks that somebody holds already; the last token is always computed."""
        taken = self.lookup(r)[0][: (r.known - 1) // self.size]
        return sum(self.pool.refs[n.block] > 0 for n in taken)

    def skips(self, r, computed):
        if not self.reuse or not self.c["enable_prefix_aware_scheduling"]:
            return False
        new = self.lookup(r)[1]
        there = new in computed
        computed += [new] if new and not there else []
        return there

    def begun_blocks(self):
        if not self.reuse or not self.c["enable_prefix_aware_scheduling"]:
            return []
        new = [self.pool.walk(r.tokens(r.prompt))[1] for r in self.active if r.phase == "context"]
        return [key for key in new if key]

    def no_evict(self):
        most = self.c["max_batch_size"]
        seen = self.active[:most]
        answers = [r for r in seen if r.phase == "answer"]
        static = self.policy == "STATIC_BATCH"
        free = len(self.pool.free) - sum(self.up(self.latest(r)) - len(r.blocks) for r in answers)
        prompts, computed = [], [] if static else self.begun_blocks()
        if static and answers:
            return [], answers
        for r in seen:
            if r.phase not in ("waiting", "context"):
                continue
            if r.phase == "waiting" and not static and self.skips(r, computed):
                continue
            if len(answers) + len(prompts) >= most:
                break
            need = self.up(self.latest(r)) - len(r.blocks)
            if r.phase == "waiting":
                need -= self.shared(r)
            if need > free:
                break
            free -= need
            prompts.append(r)
        return prompts, answers

    def max_utilization(self):
        seen = self.active[: self.c["max_batch_size"]]
        computed, used, prompts, answers = self.begun_blocks(), 0, [], []
        end, at = len(seen), 0
        while at < end:
            r = seen[at]
            if r.phase == "last" or (r.phase == "waiting" and self.skips(r, computed)):
                at += 1
                continue
            need = 0
            if r.phase == "waiting":
                need = self.up(r.known) - self.shared(r)
            elif r.phase == "answer":
                there = r.cache + self.beside
                need = self.up(there + min(self.wide, self.latest(r) - there)) - len(r.blocks)
            if used + need <= len(self.pool.free):
                (answers if r.phase == "answer" else prompts).append(r)
                used, at = used + need, at + 1
                continue
            begun = [i for i in range(at, end) if seen[i].phase in ("context", "answer")]
            if not begun:
                break
            end = begun[-1]
            self.pause(seen[end])
        return prompts, answers

    def pause(self, r):
        self.leave(r)
        r.phase = "waiting"
        r.preempted += 1
        self.victims.append(r)

    def leave(self, r):
        r.life += 1
        if self.reuse:
            self.pool.store(r.tokens(r.ready), r.blocks, True)
        self.pool.release(r.blocks)
        r.blocks = []

    # --- who fits the step
    def rest(self, r):
        if r.phase == "context":
            return r.prompt - r.position
        return max(1, r.known - self.size * len(self.lookup(r)[0]))

    def micro(self, prompts, answers):
        room, most = self.c["max_num_tokens"], self.c["max_batch_size"]
        answers = answers[: min(room // self.wide, most)]
        room -= self.wide * len(answers)
        prompts = prompts[: most - len(answers)]
        rest = {r.id: self.rest(r) for r in prompts}
        piece = dict.fromkeys(rest, 0)
        if not self.c["enable_chunked_prefill"]:
            for r in prompts:
                if rest[r.id] > room:
                    break
                piece[r.id] = rest[r.id]
                room -= rest[r.id]
        elif sum(rest.values()) <= room:
            piece = dict(rest)
        elif self.c["context_chunking_policy"] == "EQUAL_PROGRESS":
            went = True
            while went and room:
                went = False
                for r in prompts:
                    more = min(self.size, rest[r.id] - piece[r.id])
                    if 0 < more <= room:
                        piece[r.id] += more
                        room -= more
                        went = True
        else:
            for r in prompts:
                piece[r.id] = rest[r.id] if rest[r.id] <= room else room // self.size * self.size
                room -= piece[r.id]
        chosen = [(r, piece[r.id], piece[r.id] == rest[r.id]) for r in prompts if piece[r.id]]
        return self.batch_wait(chosen, answers), answers

    def batch_wait(self, chosen, answers):
        timeout, ratio = self.c["batch_wait_timeout_iters"], self.c["batch_wait_max_tokens_ratio"]
        if not chosen or not answers or (timeout == 0 and ratio == 0):
            return chosen
        tokens = sum(n for _, n, _ in chosen) + self.wide * len(answers)
        if self.waits >= timeout or tokens >= ratio * self.c["max_num_tokens"]:
            self.waits = 0
            return chosen
        self.waits += 1
        return []

    # --- a call
    def begin(self, r, now):
        r.prompt, hit, blocks = r.known, 0, []
        if self.reuse:
            ids = r.tokens(r.known - 1)  # the last is always computed
            nodes, _ = self.pool.walk(ids)
            best, same = None, 0
            if self.c["enable_partial_reuse"]:
                node = nodes[-1] if nodes else self.pool.root
                at = len(nodes) * self.size
                copies = self.c["copy_on_partial_reuse"]
                best, same = self.pool.partial(node, ids[at : at + self.size], copies)
            for node in nodes:
                self.pool.touch(node.block)
                blocks.append(node.block)
            hit = len(nodes) * self.size + same
            if best is not None and self.pool.leaf(best):
                self.pool.forget(best.block)
                self.pool.touch(best.block)
                blocks.append(best.block)
        more = self.up(r.prompt + self.beside) - len(blocks)
        r.blocks = blocks + [self.pool.pop() for _ in range(more)]
        r.phase, r.position, r.ready, r.cache = "context", hit, hit, hit
        r.sampled, r.told = r.prompt, 0
        if r.scheduled is None:
            r.scheduled, r.hit = now, hit
        r.hits += hit

    def token(self, r):
        r.sampled += 1
        r.told += 1
        r.phase = "last" if r.sampled >= self.latest(r) else "answer"

    def answers(self, r, now):
        """Whether it gets a token in this step."""
        return True

    def call(self, now):
        self.victims, rows = [], []
        fit = self.max_utilization if self.policy == "MAX_UTILIZATION" else self.no_evict
        chosen, answers = self.micro(*fit())
        contexts = 0
        for r, n, whole in chosen:
            if r.phase == "waiting":
                if self.up(r.known + self.beside) - self.shared(r) > len(self.pool.free):
                    break  # who shared blocks with it was paused
                self.begin(r, now)
            before = r.position
            end = r.prompt if whole else min(r.prompt, before // self.size * self.size + n)
            r.position = r.cache = end
            rows.append((r, end - before, before, r.life, end == r.prompt, end, 0))
        for r, *_, last, _, _ in rows:
            if last:
                self.token(r)
        for r in answers:
            wide = self.wide
            more = self.up(r.cache + wide + self.beside) - len(r.blocks)
            if more > len(self.pool.free) or not self.answers(r, now):
                continue
            r.cache += wide
            while len(r.blocks) < self.up(r.cache + self.beside):
                r.blocks.append(self.pool.pop())
            before = r.prompt + r.told - 1
            contexts += before + wide
            kept = kept_of(self.drafting, r.id, before + 1 - r.input, wide - 1)
            rows.append((r, wide, before, r.life, True, None, kept))
            self.token(r)
            r.told += kept
        total = sum(n for _, n, *_ in rows)
        a, b, s = (self.step_time[k] for k in "abc")
        drafts = (self.wide - 1) * sum(row[5] is None for row in rows)
        took = a + b * total + s * contexts + self.step_time.get("d", 0) * drafts
        start = max(now, self.end) if total else now
        end = start + took if total else start
        if total:
            self.end = end
        if total or self.victims:
            begun = sum(r.phase != "waiting" for r in self.active)
            self.rows.append([
                len(self.rows), now, start, end, [[r.id, n, before] for r, n, before, *_ in rows],
                [], [], [v.id for v in self.victims], [], len(self.pool.free), begun,
                len(self.active) - begun, len(self.pool.nodes),
            ])  # fmt: skip
        return (rows, end) if total else None

    # --- outputs and arrivals
    def take_back(self, r, tokens):
        r.cache -= tokens
        while len(r.blocks) > self.up(r.cache + self.beside):
            block = r.blocks.pop()
            self.pool.refs[block] = 0
            self.pool.forget(block)
            self.pool.free.insert(0, block)

    def output(self, batch):
        for r, _, _, life, sampled, end, kept in batch[0]:
            if r.gone:
                continue
            if r.life == life and end is not None:
                r.ready = end
                if self.reuse:
                    self.pool.store(r.tokens(end), r.blocks, False)
            if not sampled:
                continue
            given = 1
            if self.wide > 1:
                given = min(1 + kept, min(r.input + r.wanted, self.c["max_seq_len"]) - r.known)
                self.given_out.append([batch[1], r.id, given])
                if r.life == life and end is None:
                    self.take_back(r, self.wide - 1 - kept)
            r.outputs += given
            if r.first is None and r.status == "waiting":
                r.first = batch[1]
            if r.life == life:
                r.ready = r.known - 1
                r.sampled += given - 1
                if r.phase == "answer" and r.sampled >= self.latest(r):
                    r.phase = "last"
            if r.outputs >= r.wanted or r.known >= self.c["max_seq_len"]:
                self.take_out(r)
                self.settle(r, "done", batch[1])

    def take_out(self, r):
        if r.phase != "waiting":
            self.leave(r)
        self.active.remove(r)
        r.gone = True

    def settle(self, r, status, at):
        """Its client is told so, if it is there."""
        if r.status == "waiting":
            r.status, r.last = status, at
            self.follow(r.id, at)

    def follow(self, parent, at):
        for i, r in enumerate(self.given):
            if r.get("after", [None])[0] == parent:
                heapq.heappush(self.later, (at + r["after"][1], i))

    def deliver(self, now):
        while self.later and self.later[0][0] <= now:
            self.arrive(*heapq.heappop(self.later))

    def arrive(self, at, i):
        r = self.requests[i]
        r.arrival = at
        too_long = r.input >= self.c["max_seq_len"]
        whole = not self.c["enable_chunked_prefill"]
        if too_long or (whole and r.input > self.c["max_num_tokens"]):
            self.settle(r, "rejected", at)
        else:
            self.active.append(r)

    def before(self, now):
        """What happens while a step runs that ends then."""

    def turned(self):
        """The loop has handled a step's outputs."""

    def next_time(self):
        return self.later[0][0] if self.later else None

    def frees(self):
        """Whether somebody left for whom others may go on."""
        return False

    def run(self):
        now, queue = 0, []
        depth = 1 if self.c["disable_overlap_scheduler"] else 2
        for turn in itertools.count():
            if turn > MOST_TURNS:
                raise Circles
            self.deliver(now)
            batch = self.call(now) if self.active else None
            if batch:
                queue.append(batch)
                if len(queue) < depth:
                    continue
            if queue:
                oldest = queue.pop(0)
                now = max(now, oldest[1])
                self.before(now)
                self.output(oldest)
                self.turned()
            elif self.frees():
                continue
            elif self.next_time() is not None:
                now = max(now, self.next_time())
            else:
                break
        results = [
            [r.id, "stuck" if r.status == "waiting" else r.status, r.arrival, r.scheduled, r.first,
             r.last, r.preempted, r.hit, r.hits, r.outputs if r.delivered is None else r.delivered]
            for r in self.requests
        ]  # fmt: skip
        return {"stuck": bool(self.active), "steps": self.rows, "results": results}


def play(trace):
    """What the scheduler decides over a trace's requests."""
    return Engine(trace).run()
