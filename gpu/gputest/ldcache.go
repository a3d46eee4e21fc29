package gputest

import (
	"bytes"
	"sort"
	"strings"
)

// cacheEntry is a line of /etc/ld.so.cache.
type cacheEntry struct {
	name, path string
	class      int
}

// writeCache writes /etc/ld.so.cache in the format that glibc has had alone since 2.32.
func (tr *tree) writeCache() {
	const header, entry = 48, 24
	es := tr.cache
	sort.SliceStable(es, func(i, j int) bool { return compareNames(es[i].name, es[j].name) > 0 })
	var table, text bytes.Buffer
	base := header + entry*len(es)
	for _, e := range es {
		flags := 0x0303
		if e.class == 32 {
			flags = 0x0003
		} else if archOf(64).machine == 183 {
			flags = 0x0a03
		}
		quad(&table, flags, base+text.Len())
		text.WriteString(e.name + "\x00")
		quad(&table, base+text.Len(), 0, 0, 0)
		text.WriteString(e.path + "\x00")
	}
	var b bytes.Buffer
	b.WriteString("glibc-ld.so.cache1.1")
	quad(&b, len(es), text.Len())
	b.Write([]byte{2, 0, 0, 0}) // little endian
	quad(&b, 0, 0, 0, 0)
	b.Write(table.Bytes())
	b.Write(text.Bytes())
	tr.file("etc/ld.so.cache", b.String())
}

// compareNames is the order that the linker's binary search expects: numbers by value.
func compareNames(a, b string) int {
	digit := func(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
	number := func(s string) (n int, rest string) {
		for digit(s) {
			n, s = n*10+int(s[0]-'0'), s[1:]
		}
		return n, s
	}
	for a != "" {
		switch {
		case digit(a) && digit(b):
			var x, y int
			x, a = number(a)
			y, b = number(b)
			if x != y {
				return x - y
			}
		case digit(a):
			return 1
		case digit(b):
			return -1
		case b == "" || a[0] != b[0]:
			return strings.Compare(a[:1], b[:min(1, len(b))])
		default:
			a, b = a[1:], b[1:]
		}
	}
	return -len(b)
}
