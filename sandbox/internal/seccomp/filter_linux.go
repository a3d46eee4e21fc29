package seccomp

import (
	"fmt"
	"slices"
)

// Filter gives the program (an array of struct sock_filter) for the named filters together; none is
// an empty program.
func Filter(names []string) (string, error) {
	for _, n := range names {
		if n != "container" && n != "root" {
			return "", fmt.Errorf("unknown seccomp filter %q", n)
		}
	}
	c, r := slices.Contains(names, "container"), slices.Contains(names, "root")
	switch {
	case c && r:
		return containerRoot, nil
	case c:
		return container, nil
	case r:
		return root, nil
	}
	return "", nil
}
