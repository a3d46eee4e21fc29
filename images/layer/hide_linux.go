package layer

import (
	"slices"

	"golang.org/x/sys/unix"
)

// hider adds whiteouts to what a walk comes by, in the order of the walk.
type hider struct {
	rest []string
	emit func(*node) error
}

func newHider(paths []string, emit func(*node) error) *hider {
	rest := slices.Clone(paths)
	slices.SortFunc(rest, inWalkOrder)
	return &hider{rest: slices.Compact(rest), emit: emit}
}

// inWalkOrder compares paths as a walk meets them: what is in a folder comes right after it.
func inWalkOrder(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// node passes n on, after what is hidden before it. It takes over n's descriptor, as emit does.
func (h *hider) node(n *node) error {
	for len(h.rest) > 0 && inWalkOrder(h.rest[0], n.path) <= 0 {
		hidden := h.rest[0]
		h.rest = h.rest[1:]
		if hidden == n.path && n.kind == 'w' { // the tree says so itself
			break
		}
		if err := h.emit(&node{path: hidden, kind: 'w'}); err != nil {
			if n.kind == 'f' {
				unix.Close(n.fd)
			}
			return err
		}
	}
	return h.emit(n)
}

// close emits what comes after everything in the tree.
func (h *hider) close() error {
	for _, p := range h.rest {
		if err := h.emit(&node{path: p, kind: 'w'}); err != nil {
			return err
		}
	}
	return nil
}
