"""vLLM's blocks of KV memory in plain Python."""


class Blocks:
    """The free list as a list, the table as lists of blocks by hash."""

    def __init__(self, count, old):
        self.free, self.old = list(range(1, count)), old
        self.refs, self.hash, self.table = {}, {}, {}

    def pop(self):
        block = self.free.pop(0)
        self.forget(block)
        self.refs[block] = 1
        return block

    def forget(self, block):
        key = self.hash.pop(block, None)
        if key is not None:
            self.table[key].remove(block)
            if not self.table[key]:
                del self.table[key]

    def touch(self, block):
        if self.refs.get(block, 0) == 0:
            self.free.remove(block)
        self.refs[block] = self.refs.get(block, 0) + 1

    def release(self, blocks):
        left = []
        for block in reversed(blocks):
            self.refs[block] -= 1
            if self.refs[block] == 0:
                left.append(block)
        if self.old:
            self.free += left
        else:
            self.free = (
                [b for b in left if b not in self.hash]
                + self.free
                + [b for b in left if b in self.hash]
            )

    def enter(self, block, key):
        self.hash[block] = key
        self.table.setdefault(key, []).append(block)
