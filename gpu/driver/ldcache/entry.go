package ldcache

import (
	"debug/elf"
	"math/bits"
	"sort"
	"strings"
)

// Entry is one library.
type Entry struct {
	Name      string // what programs ask for: "libcuda.so.1"
	Path      string // where it lies
	Flags     int32  // kind and machine, see [Flags]
	OSVersion uint32 // oldest kernel, as glibc before 2.36 wrote it; 0 for any
	HWCap     uint64 // bits of the processor that it needs; with Sub only the ISA level in bits 32 to 41
	Sub       string // folder below glibc-hwcaps that it lies in ("x86-64-v3"), since glibc 2.33
}

// The parts of Entry.Flags: the lowest byte is the C library, the second the machine.
const (
	libc6   = 0x0003
	x8664   = 0x0300
	x32     = 0x0800
	aarch64 = 0x0a00
)

// Flags of a library for a machine: what the linker of that machine accepts, and nothing else. 0 for a
// machine that is not known here.
func Flags(class elf.Class, machine elf.Machine) int32 {
	switch {
	case machine == elf.EM_X86_64 && class == elf.ELFCLASS64:
		return libc6 | x8664
	case machine == elf.EM_X86_64 && class == elf.ELFCLASS32:
		return libc6 | x32
	case machine == elf.EM_386 && class == elf.ELFCLASS32:
		return libc6
	case machine == elf.EM_AARCH64 && class == elf.ELFCLASS64:
		return libc6 | aarch64
	}
	return 0
}

// Sort brings entries into the order of ldconfig. Where two are equal the earlier one stays first, and
// the linker takes the first.
func Sort(entries []Entry) {
	sort.SliceStable(entries, func(i, j int) bool { return compare(&entries[i], &entries[j]) < 0 })
}

// compare is compare of ldconfig (elf/cache.c): names descending, because the linker's search expects
// it; then what is more special first, because the linker takes the first that fits.
func compare(a, b *Entry) int {
	if c := compareNames(b.Name, a.Name); c != 0 {
		return c
	}
	switch {
	case a.Flags != b.Flags:
		return order(b.Flags < a.Flags)
	case (a.Sub != "") != (b.Sub != ""):
		return order(a.Sub != "")
	case a.Sub != b.Sub:
		return strings.Compare(a.Sub, b.Sub)
	}
	if n, m := bits.OnesCount64(a.HWCap), bits.OnesCount64(b.HWCap); n != m {
		return order(m < n)
	}
	if a.HWCap != b.HWCap {
		return order(b.HWCap < a.HWCap)
	}
	return 0
}

func order(first bool) int {
	if first {
		return -1
	}
	return 1
}

// compareNames is _dl_cache_libcmp: digits count as numbers, so that libx.so.10 follows libx.so.9. The
// numbers are C ints and wrap as those do on every machine that runs glibc; characters are signed.
func compareNames(a, b string) int {
	i, j := 0, 0
	for i < len(a) {
		switch {
		case digit(at(a, i)) && digit(at(b, j)):
			var n, m int32
			n, i = number(a, i)
			m, j = number(b, j)
			if n != m {
				return int(n - m)
			}
		case digit(at(a, i)):
			return 1
		case digit(at(b, j)):
			return -1
		case at(a, i) != at(b, j):
			return int(int8(at(a, i))) - int(int8(at(b, j)))
		default:
			i++
			j++
		}
	}
	return -int(int8(at(b, j)))
}

// at is the character at i, and 0 at the end as in C.
func at(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func number(s string, i int) (int32, int) {
	var n int32
	for i < len(s) && digit(s[i]) {
		n = n*10 + int32(s[i]-'0')
		i++
	}
	return n, i
}
