// A pairing heap (Fredman, Sedgewick, Sleator & Tarjan, 1986) of the elements of an array, linked by their indexes.
#pragma once

#include <cstdint>
#include <utility>

namespace fairq::core {

// A view of an array that lives elsewhere. Node has the links `child`, `next` and `previous`: index + 1, or 0 for none;
// so has the root. Before{}(a, b): a comes out before b. It does not recurse, because all elements can be children of
// one. insert() and remove() cost O(log n), amortised.
template <class Node, class Before>
class PairingHeap {
public:
    PairingHeap(Node *nodes, std::int32_t &root) : nodes_(nodes), root_(root) {}

    void insert(int node) { root_ = meld(root_, node + 1); }

    void remove(int node) {
        std::int32_t const link = node + 1;
        Node &gone = at(link);
        std::int32_t const below = merge(gone.child);
        if (link == root_) {
            root_ = below;
        } else {
            Node &previous = at(gone.previous); // its parent, or the child before it
            (previous.child == link ? previous.child : previous.next) = gone.next;
            if (gone.next != 0)
                at(gone.next).previous = gone.previous;
            root_ = meld(root_, below);
        }
        gone.child = gone.next = gone.previous = 0;
    }

private:
    Node &at(std::int32_t link) const { return nodes_[link - 1]; }

    // Of two roots, the later one becomes the first child of the other.
    std::int32_t meld(std::int32_t a, std::int32_t b) {
        if (a == 0 || b == 0)
            return a + b;
        if (Before{}(at(b), at(a)))
            std::swap(a, b);
        Node &parent = at(a);
        Node &child = at(b);
        child.previous = a;
        child.next = parent.child;
        if (parent.child != 0)
            at(parent.child).previous = b;
        parent.child = b;
        return a;
    }

    // Makes one heap of a row of siblings: melds them in pairs from the left, then the pairs from the right.
    std::int32_t merge(std::int32_t first) {
        std::int32_t pairs = 0;
        while (first != 0) {
            std::int32_t const second = at(first).next;
            std::int32_t const remaining = second == 0 ? 0 : at(second).next;
            at(first).next = at(first).previous = 0;
            if (second != 0)
                at(second).next = at(second).previous = 0;
            std::int32_t const pair = meld(first, second);
            at(pair).next = pairs; // `next` links a stack here, which no other function sees
            pairs = pair;
            first = remaining;
        }
        std::int32_t root = 0;
        while (pairs != 0) {
            std::int32_t const pair = pairs;
            pairs = at(pair).next;
            at(pair).next = 0;
            root = meld(root, pair);
        }
        return root;
    }

    Node *nodes_;
    std::int32_t &root_;
};

} // namespace fairq::core
