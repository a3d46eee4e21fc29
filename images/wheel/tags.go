package wheel

import (
	"fmt"
	"strconv"
	"strings"
)

// Target is what a wheel must run on: an interpreter and a system.
type Target struct {
	Python string // "3.11"
	Full   string // "3.11.2"; "" where it is not known, then Python + ".0" is taken for markers
	Arch   string // as in platforms: "amd64", "arm64", …
	Glibc  [2]int // version of the C library; zero if it is not glibc
	Musl   [2]int // the same for musl
}

// machine is what Python calls the architecture.
func (t Target) machine() string {
	switch t.Arch {
	case "amd64", "":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "386":
		return "i686"
	case "arm":
		return "armv7l"
	}
	return t.Arch
}

// minor is the Y of Python 3.Y, or an error.
func (t Target) minor() (int, error) {
	y, ok := strings.CutPrefix(t.Python, "3.")
	n, err := strconv.Atoi(y)
	if !ok || err != nil || n < 0 || n > 99 {
		return 0, fmt.Errorf("not a version of Python 3: %q", t.Python)
	}
	return n, nil
}

// platforms lists platform tags, best first, without "any".
func (t Target) platforms() []string {
	m := t.machine()
	var out []string
	if t.Glibc[0] == 2 {
		low := 17 // manylinux2014 is the oldest but on the two architectures that had more
		if m == "x86_64" || m == "i686" {
			low = 5
		}
		old := map[int]string{17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
		for n := min(t.Glibc[1], 200); n >= low; n-- {
			out = append(out, fmt.Sprintf("manylinux_2_%d_%s", n, m))
			if name := old[n]; name != "" {
				out = append(out, name+"_"+m)
			}
		}
	}
	if t.Musl[0] == 1 {
		for n := min(t.Musl[1], 200); n >= 0; n-- {
			out = append(out, fmt.Sprintf("musllinux_1_%d_%s", n, m))
		}
	}
	return append(out, "linux_"+m)
}

// Tags lists all compatibility tags of t as python-abi-platform, best first, in the order that pip
// and uv use.
func (t Target) Tags() ([]string, error) {
	y, err := t.minor()
	if err != nil {
		return nil, err
	}
	plats := t.platforms()
	var out []string
	each := func(pyabi string) {
		for _, p := range plats {
			out = append(out, pyabi+"-"+p)
		}
	}
	cp := fmt.Sprintf("cp3%d", y)
	abi := cp
	if y < 8 {
		abi += "m"
	}
	each(cp + "-" + abi)
	each(cp + "-abi3")
	each(cp + "-none")
	for n := y - 1; n >= 2; n-- {
		each(fmt.Sprintf("cp3%d-abi3", n))
	}
	pys := []string{fmt.Sprintf("py3%d", y), "py3"}
	for n := y - 1; n >= 0; n-- {
		pys = append(pys, fmt.Sprintf("py3%d", n))
	}
	for _, py := range pys {
		each(py + "-none")
	}
	out = append(out, cp+"-none-any")
	for _, py := range pys {
		out = append(out, py+"-none-any")
	}
	return out, nil
}

// Ranker says how well wheels fit one target. Make it once with [Target.Ranker].
type Ranker struct{ rank map[string]int }

// Ranker prepares t for many questions.
func (t Target) Ranker() (*Ranker, error) {
	tags, err := t.Tags()
	if err != nil {
		return nil, err
	}
	r := &Ranker{make(map[string]int, len(tags))}
	for i, tag := range tags {
		r.rank[tag] = i
	}
	return r, nil
}

// Rank is the place of the best tag of f, 0 being the best; ok is false where f does not run.
func (r *Ranker) Rank(f Filename) (rank int, ok bool) {
	for _, py := range f.Python {
		for _, abi := range f.ABI {
			for _, p := range f.Platform {
				if n, has := r.rank[py+"-"+abi+"-"+p]; has && (!ok || n < rank) {
					rank, ok = n, true
				}
			}
		}
	}
	return rank, ok
}

// buildLess orders build tags: by their leading number, then by the rest; none is lowest.
func buildLess(a, b string) bool {
	an, ar := splitBuild(a)
	bn, br := splitBuild(b)
	if an != bn {
		return an < bn
	}
	return ar < br
}

func splitBuild(s string) (int, string) {
	i := 0
	for i < len(s) && i < 9 && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return -1, s
	}
	n, _ := strconv.Atoi(s[:i])
	return n, s[i:]
}
