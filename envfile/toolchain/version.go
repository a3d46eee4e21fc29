package toolchain

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Version is a version as Python, Debian's upstreams and NVIDIA write them.
type Version struct {
	Release []int  // 2.5.1 is [2 5 1]
	Pre     string // "a0", "rc1", "post1", "dev20240101"; "" for a release
	Local   string // what follows "+": "cu124"
}

var versionText = lazyregexp.New(`^[vV]?(?:\d+!)?(\d+(?:\.\d+)*)[-_.]?((?i:a|b|c|rc|alpha|beta|pre|preview|post|rev|r|dev)[-_.]?\d*(?:\.?dev\d*)?)?(?:\+([A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*))?$`)

// ParseVersion reads "2.5.1", "2.6.0a0+git123", "12.4.127", "2.5.1+cu124".
func ParseVersion(s string) (Version, error) {
	m := versionText.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil || len(s) > 100 {
		return Version{}, fmt.Errorf("not a version: %.100q", s)
	}
	v := Version{Pre: strings.ToLower(strings.Trim(m[2], "-_.")), Local: strings.ToLower(m[3])}
	for p := range strings.SplitSeq(m[1], ".") {
		n, err := strconv.Atoi(p)
		if err != nil {
			return Version{}, fmt.Errorf("not a version: %.100q", s)
		}
		v.Release = append(v.Release, n)
	}
	return v, nil
}

// Upstream is the upstream's version in a Debian package's: "2.6.0+dfsg-7" is "2.6.0",
// "4:14.2.0-1" is "14.2.0", "12.4.127~12.4.1-2" is "12.4.127". It is "" where there is none.
func Upstream(deb string) string {
	s := deb
	if _, after, ok := strings.Cut(s, ":"); ok {
		s = after
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		s = s[:i]
	}
	if _, after, ok := strings.Cut(s, "+really"); ok {
		s = after
	}
	return strings.ReplaceAll(upstreamText.FindString(s), "~", "")
}

var upstreamText = lazyregexp.New(`^\d+(?:\.\d+)*(?:~?(?:a|b|rc|alpha|beta|dev)\.?\d+)?`)

// Compare orders versions; what follows "+" does not count.
func (v Version) Compare(w Version) int {
	for i := range max(len(v.Release), len(w.Release)) {
		if c := cmp.Compare(v.number(i), w.number(i)); c != 0 {
			return c
		}
	}
	a, b := preRank(v.Pre), preRank(w.Pre)
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

func (v Version) number(i int) int {
	if i < len(v.Release) {
		return v.Release[i]
	}
	return 0
}

func preRank(pre string) [2]int {
	letters := strings.TrimRight(pre, "0123456789")
	n, _ := strconv.Atoi(pre[len(letters):])
	switch strings.TrimRight(letters, "-_.") {
	case "":
		return [2]int{4, 0}
	case "dev":
		return [2]int{0, n}
	case "a", "alpha":
		return [2]int{1, n}
	case "b", "beta":
		return [2]int{2, n}
	case "post", "rev", "r":
		return [2]int{5, n}
	}
	return [2]int{3, n} // rc
}

// hasPrefix reports whether v begins with the numbers of p: 3.11.7 with 3.11, not with 3.1.
func (v Version) hasPrefix(p []int) bool {
	if len(v.Release) < len(p) {
		return false
	}
	for i, n := range p {
		if v.Release[i] != n {
			return false
		}
	}
	return true
}

func (v Version) numbers(n int) string {
	parts := make([]string, min(n, len(v.Release)))
	for i := range parts {
		parts[i] = strconv.Itoa(v.Release[i])
	}
	return strings.Join(parts, ".")
}

func (v Version) major() int { return v.number(0) }
