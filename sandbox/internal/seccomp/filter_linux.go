package seccomp

import (
	"fmt"
	"slices"
)

// Filter gives the program (an array of struct sock_filter) for the named filters together; none is
// an empty program.
func Filter(names []string) (string, error) {
	for _, n := range names {
		if n != "container" && n != "root" && n != "nosync" {
			return "", fmt.Errorf("unknown seccomp filter %q", n)
		}
	}
	c, r := slices.Contains(names, "container"), slices.Contains(names, "root")
	if slices.Contains(names, "nosync") {
		if !c || !r {
			return "", fmt.Errorf("seccomp filter nosync is for builds, with container and root: %q", names)
		}
		return build, nil
	}
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
