package deb

import (
	"fmt"
	"strings"
)

// Compare orders two Debian versions: negative if a is older than b, zero if they are the same,
// positive if a is newer. The order is that of deb-version(7): epoch, then upstream version, then
// revision; "~" sorts before everything, even the end.
func Compare(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	if c := compareNumber(ea, eb); c != 0 {
		return c
	}
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// The revision follows the last hyphen; a missing one equals "0", which comparePart gives as the
// empty string and "0" are the same to it.
func splitVersion(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

func digits(s string) int {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// compareNumber orders strings of digits of any length.
func compareNumber(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// rank is the place of a character outside of numbers: "~", then the end, then letters, then the
// rest.
func rank(s string) int {
	switch {
	case s == "" || s[0] >= '0' && s[0] <= '9':
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

func comparePart(a, b string) int {
	for a != "" || b != "" {
		for rank(a) != 0 || rank(b) != 0 {
			if d := rank(a) - rank(b); d != 0 {
				return d
			}
			a, b = a[1:], b[1:]
		}
		i, j := digits(a), digits(b)
		if c := compareNumber(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// checkVersion refuses what deb-version(7) does not allow, so that a version can be part of a file
// name and of a message.
func checkVersion(v string) error {
	if v == "" {
		return fmt.Errorf("empty version")
	}
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte(".+-:~_", c) >= 0:
		default:
			return fmt.Errorf("bad version %q", v)
		}
	}
	if e, _, ok := strings.Cut(v, ":"); ok && (e == "" || digits(e) != len(e)) {
		return fmt.Errorf("bad version %q: the part before the colon is not a number", v)
	}
	return nil
}

// checkName refuses what is no package name by Debian policy 5.6.1 (upper case is let through:
// some archives have it).
func checkName(n string) error {
	if len(n) < 1 || len(n) > 200 {
		return fmt.Errorf("bad package name %q", n)
	}
	for i := 0; i < len(n); i++ {
		c := n[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && strings.IndexByte(".+-_", c) >= 0:
		default:
			return fmt.Errorf("bad package name %q", n)
		}
	}
	return nil
}

// satisfies reports whether version v is what a relation with op and want asks for.
func satisfies(v, op, want string) bool {
	if op == "" {
		return true
	}
	c := Compare(v, want)
	switch op {
	case "=":
		return c == 0
	case ">=", ">": // ">" alone is the deprecated spelling of ">="
		return c >= 0
	case "<=", "<":
		return c <= 0
	case ">>":
		return c > 0
	case "<<":
		return c < 0
	}
	return false
}
