package terms

import "strconv"

// Size is a number of bytes, written as "16GiB" or "500MB".
type Size int64

// Unit is what a size may end with.
type Unit struct {
	Name  string
	Bytes int64
}

// Units lists them, largest first, so that String takes the largest that divides evenly.
func Units() []Unit {
	return []Unit{{"PiB", 1 << 50}, {"PB", 1e15}, {"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

// String writes the size so that ParseSize reads the same number of bytes.
func (s Size) String() string {
	for _, u := range Units() {
		if s != 0 && int64(s)%u.Bytes == 0 {
			return strconv.FormatInt(int64(s)/u.Bytes, 10) + u.Name
		}
	}
	return "0B"
}
