package deb

import (
	"slices"
	"strings"
)

// Candidates are where the files of a release may lie according to o, without asking anybody: for what
// is pinned by path and hash that is enough. [URLs] puts them in order. There are none where this
// machine names no mirror.
func (l *Loader) Candidates(suite string, o SuiteOptions) []Source {
	var main, security []Source
	if o.Mirror != "" {
		main = append(main, l.explicit(o.Mirror, suite, o))
		for _, uri := range SecurityBeside(o.Mirror) {
			security = append(security, l.explicit(uri, suite+"-security", o))
		}
	} else {
		for _, h := range o.Host {
			if h.flat() || h.Origin != "" && keyPackages[h.Origin] == "" {
				continue
			}
			s := l.moved(h, suite, o)
			s.Origin = h.Origin
			if p := pocket(h.Suite); p == "-security" || p == "/updates" {
				s.Suite = suite + "-security"
				security = append(security, s)
			} else {
				main = append(main, s)
			}
		}
		// What an archive of somebody else's serves was not asked for by name: the distribution's own first.
		slices.SortStableFunc(main, func(a, b Source) int { return own(b) - own(a) })
	}
	as := func(kind string) (out []Source) {
		for _, s := range main {
			s.Suite = suite + kind
			out = append(out, s)
		}
		return out
	}
	return slices.Concat(main, as("-updates"), security, as("-security")) // Ubuntu has its fixes beside the rest
}

// own is 1 for the files in which Debian and Ubuntu name their own archives.
func own(s Source) int {
	for _, f := range []string{"etc/apt/sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources"} {
		if strings.HasSuffix(s.File, f) {
			return 1
		}
	}
	return 0
}
