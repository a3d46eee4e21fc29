package layer

import (
	"fmt"
	"strings"
)

const (
	whPrefix = ".wh."
	whOpaque = ".wh..wh..opq"
	whUnion  = ".wh..wh." // what an old union file system, AUFS, keeps for itself
)

// cleanName makes a name of a tar relative to the root: "" is the root itself.
func cleanName(name string, max int) (string, error) {
	if name == "" {
		return "", fmt.Errorf("an entry has no name")
	}
	if len(name) > max {
		return "", &LimitError{What: "layer", Key: "path", Limit: int64(max)}
	}
	clean := name
	for strings.HasPrefix(clean, "./") {
		clean = clean[2:]
	}
	clean = strings.TrimSuffix(clean, "/")
	if isClean(clean) {
		return clean, nil
	}
	var out []string
	for c := range strings.SplitSeq(clean, "/") {
		switch c {
		case "", ".":
		case "..":
			if len(out) == 0 {
				return "", fmt.Errorf("the name leads out of the layer")
			}
			out = out[:len(out)-1]
		default:
			out = append(out, c)
		}
	}
	return strings.Join(out, "/"), nil
}

// isClean: no empty component, no "." and no "..".
func isClean(name string) bool {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		switch i - start {
		case 0:
			return false
		case 1:
			if name[start] == '.' {
				return false
			}
		case 2:
			if name[start] == '.' && name[start+1] == '.' {
				return false
			}
		}
		start = i + 1
	}
	return true
}

// split cuts a clean name into its directory and its last component.
func split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}

// whiteout looks at a last component that begins with ".wh.". hidden is the name that it hides.
func whiteout(base string) (hidden string, opaque, skip bool, err error) {
	if base == whOpaque {
		return "", true, false, nil
	}
	hidden = base[len(whPrefix):]
	switch {
	case hidden == "" || hidden == "." || hidden == "..":
		return "", false, false, fmt.Errorf("a whiteout of nothing or of a directory itself")
	case strings.HasPrefix(hidden, whPrefix):
		return "", false, true, nil // bookkeeping of an old union file system
	}
	return hidden, false, false, nil
}

// shown is a name for a message, where one of thousands of bytes would push the reason out.
func shown(name string) string {
	const most = 200
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}
