package seccomp

import (
	"fmt"
	"slices"
)

// Filter gives the program (an array of struct sock_filter) for the named filters together; none is
// an empty program.
func Filter(names []string) (string, error) {
	var c, r, n, o bool
	for _, name := range names {
		switch name {
		case "container":
			c = true
		case "root":
			r = true
		case "nosync":
			n = true
		case "owners":
			o = true
		default:
			return "", fmt.Errorf("unknown seccomp filter %q", name)
		}
	}
	if (n || o) && !(c && r) {
		return "", fmt.Errorf("seccomp filters nosync and owners go with container and root: %q", names)
	}
	switch {
	case o && n:
		return ownersBuild, nil
	case o:
		return owners, nil
	case n:
		return build, nil
	case c && r:
		return containerRoot, nil
	case c:
		return container, nil
	case r:
		return root, nil
	}
	return "", nil
}

// Asks tells whether the named filters leave calls to a listener.
func Asks(names []string) bool { return slices.Contains(names, "owners") }

// Without is the names without "owners": what is loaded where no listener can be had.
func Without(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "owners" })
}
