package wheel

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Version is a version by PEP 440. Use [ParseVersion] and [Version.Compare].
type Version struct {
	text    string
	epoch   uint64
	release []uint64
	pre     string // "a", "b", "rc" or ""
	preN    uint64
	post    int64 // -1: none
	dev     int64
	local   []string
}

var versionRE = lazyregexp.New(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?` +
	`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// ParseVersion reads a version; the many spellings that PEP 440 allows are accepted.
func ParseVersion(s string) (Version, error) {
	v := Version{text: strings.TrimSpace(s), post: -1, dev: -1}
	bad := func() (Version, error) { return Version{}, fmt.Errorf("not a version: %q", s) }
	if len(s) > 200 {
		return bad()
	}
	m := versionRE.FindStringSubmatch(strings.ToLower(v.text))
	if m == nil {
		return bad()
	}
	ok := true
	num := func(s string) uint64 {
		if s == "" {
			return 0
		}
		n, err := strconv.ParseUint(s, 10, 63)
		ok = ok && err == nil
		return n
	}
	v.epoch = num(m[1])
	for _, r := range strings.Split(m[2], ".") {
		v.release = append(v.release, num(r))
	}
	switch m[3] {
	case "":
	case "a", "alpha":
		v.pre = "a"
	case "b", "beta":
		v.pre = "b"
	default:
		v.pre = "rc"
	}
	v.preN = num(m[4])
	switch {
	case m[5] != "":
		v.post = int64(num(m[5]))
	case m[6] != "":
		v.post = int64(num(m[7]))
	}
	if m[8] != "" {
		v.dev = int64(num(m[9]))
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(m[10], func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	}
	if !ok {
		return bad()
	}
	return v, nil
}

// String is the version as it was written.
func (v Version) String() string { return v.text }

// Prerelease says whether v is an alpha, beta, candidate or development version.
func (v Version) Prerelease() bool { return v.pre != "" || v.dev >= 0 }

// Local is the part after +, as in 2.5.1+cpu, normalised; "" if there is none.
func (v Version) Local() string { return strings.Join(v.local, ".") }

// Public is the version without its local part, normalised.
func (v Version) Public() string {
	var b strings.Builder
	if v.epoch != 0 {
		fmt.Fprintf(&b, "%d!", v.epoch)
	}
	for i, r := range v.release {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%d", r)
	}
	if v.pre != "" {
		fmt.Fprintf(&b, "%s%d", v.pre, v.preN)
	}
	if v.post >= 0 {
		fmt.Fprintf(&b, ".post%d", v.post)
	}
	if v.dev >= 0 {
		fmt.Fprintf(&b, ".dev%d", v.dev)
	}
	return b.String()
}

// Compare orders versions: -1, 0 or +1.
func (v Version) Compare(w Version) int {
	if c := v.comparePublic(w); c != 0 {
		return c
	}
	return compareLocal(v.local, w.local)
}

func (v Version) comparePublic(w Version) int {
	return cmp.Or(
		cmp.Compare(v.epoch, w.epoch),
		compareRelease(v.release, w.release),
		compareKey(v.preKey(), w.preKey()),
		cmp.Compare(v.post, w.post),
		cmp.Compare(v.devKey(), w.devKey()),
	)
}

// preKey puts 1.0.dev1 below 1.0a1, and 1.0a1 below 1.0.
func (v Version) preKey() [2]uint64 {
	switch {
	case v.pre == "" && v.post < 0 && v.dev >= 0:
		return [2]uint64{0, 0}
	case v.pre == "":
		return [2]uint64{4, 0}
	}
	return [2]uint64{uint64(1 + slices.Index([]string{"a", "b", "rc"}, v.pre)), v.preN}
}

func (v Version) devKey() uint64 {
	if v.dev < 0 {
		return 1 << 63
	}
	return uint64(v.dev)
}

func compareKey(a, b [2]uint64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }

// compareRelease takes 1.0 and 1.0.0 for equal.
func compareRelease(a, b []uint64) int {
	for i := range max(len(a), len(b)) {
		var x, y uint64
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// compareLocal sorts numbers above words, and more parts above fewer.
func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, xe := strconv.ParseUint(a[i], 10, 64)
		y, ye := strconv.ParseUint(b[i], 10, 64)
		var c int
		switch {
		case xe == nil && ye == nil:
			c = cmp.Compare(x, y)
		case xe == nil:
			c = 1
		case ye == nil:
			c = -1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
