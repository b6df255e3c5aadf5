"""TensorRT-LLM's blocks once more: a tree of nodes, a list of what is free."""

import itertools


class Node:
    """What a block holds, in the tree: under a parent, by the ids of its tokens."""

    count = itertools.count()

    def __init__(self, parent, ids, block):
        self.parent, self.ids, self.block, self.children = parent, ids, block, {}
        self.born = next(self.count)


class Blocks:
    def __init__(self, count, size):
        self.size, self.free = size, list(range(count))
        self.refs, self.nodes = dict.fromkeys(range(count), 0), {}
        self.root = Node(None, (), None)

    def forget(self, block):
        node = self.nodes.pop(block, None)
        if node is not None and node.parent.children.get(node.ids) is node:
            del node.parent.children[node.ids]

    def pop(self):
        block = self.free.pop(0)
        if block in self.nodes:  # whatever follows it is not found any more
            self.nodes[block].children = {}
        self.forget(block)
        self.refs[block] = 1
        return block

    def touch(self, block):
        if self.refs[block] == 0:
            self.free.remove(block)
        self.refs[block] += 1

    def release(self, blocks):
        for block in reversed(blocks):
            self.refs[block] -= 1
            if self.refs[block] == 0:
                self.free.append(block)

    def walk(self, ids):
        """Nodes of the whole blocks at the front of these tokens; and the first that is not there."""
        found, node = [], self.root
        for i in range(len(ids) // self.size):
            key = tuple(ids[i * self.size : (i + 1) * self.size])
            if key not in node.children:
                return found, (id(node), key)
            node = node.children[key]
            found.append(node)
        return found, None

    def partial(self, node, ids, copying):
        """Of a node's children the one that begins as these tokens do for longest; of equals the oldest."""
        best, most = None, 0
        for child in sorted(node.children.values(), key=lambda c: c.born):
            if not copying and not self.leaf(child):
                continue
            same = 0
            while same < min(len(ids), len(child.ids)) and ids[same] == child.ids[same]:
                same += 1
            if same > most:
                best, most = child, same
        return best, most

    def leaf(self, node):
        return self.refs[node.block] == 0 and not node.children

    def store(self, ids, blocks, part):
        node, matching = self.root, True
        for i, block in enumerate(blocks):
            key = tuple(ids[i * self.size : (i + 1) * self.size])
            if not key or (len(key) < self.size and not part):
                break
            if matching and key in node.children:
                node = node.children[key]
                continue
            matching = False
            old = self.nodes.get(block)
            children = old.children if old else {}
            self.forget(block)
            new = Node(node, key, block)
            new.children = children
            for child in children.values():
                child.parent = new
            node.children[key] = self.nodes[block] = new
            node = new
