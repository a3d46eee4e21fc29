package driver

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// maxRead bounds what is read of one ELF file: headers and the names and versions that it refers to. Of
// the largest, libnvidia-gpucomp of 70 MB, that is 40 KB.
const maxRead = 16 << 20

// errELF is a file that is no library or program of use.
var errELF = errors.New("not a usable ELF file")

// facts are what an ELF file says of itself.
type facts struct {
	soname  string
	interp  string
	class   int
	machine elf.Machine
	glibc   [3]int
}

// inspect reads an ELF file that may be cut off or made up: at most maxRead bytes are read of it, and
// whatever is in it, the worst is an error.
func inspect(name string) (facts, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return facts{}, err
	}
	defer file.Close()
	return safely(name, func() (facts, error) { return inspectReader(name, file) })
}

// Loadable tells whether a file is an ELF file that programs of this machine can load: 64 bit, and of its
// processor.
func Loadable(name string) bool {
	x, err := inspect(name)
	return err == nil && x.native() && x.class == 64
}

// safely makes an error of a panic: debug/elf promises nothing for files that are made to break it.
func safely(name string, f func() (facts, error)) (x facts, err error) {
	defer func() {
		if r := recover(); r != nil {
			x, err = facts{}, fmt.Errorf("%w: %s: %v", errELF, name, r)
		}
	}()
	return f()
}

// usableName tells whether a SONAME can be the name of a link.
func usableName(s string) bool {
	return len(s) < 256 && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00\n:")
}

func inspectReader(name string, r io.ReaderAt) (facts, error) {
	e, err := elf.NewFile(&budget{r: r, left: maxRead})
	if err != nil {
		return facts{}, fmt.Errorf("%w: %s: %w", errELF, name, err)
	}
	f := facts{machine: e.Machine, class: 64}
	if e.Class == elf.ELFCLASS32 {
		f.class = 32
	}
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_COMPRESSED != 0 && s.Type != elf.SHT_PROGBITS {
			return facts{}, fmt.Errorf("%w: %s: section %s is compressed", errELF, name, s.Name)
		}
	}
	if names, err := e.DynString(elf.DT_SONAME); err != nil {
		return facts{}, fmt.Errorf("%w: %s: %w", errELF, name, err)
	} else if len(names) > 0 {
		if f.soname = names[0]; f.soname != "" && !usableName(f.soname) {
			return facts{}, fmt.Errorf("%w: %s: its SONAME is %q", errELF, name, f.soname)
		}
	}
	if f.glibc, err = needs(e); err != nil {
		return facts{}, fmt.Errorf("%w: %s: %w", errELF, name, err)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return facts{}, fmt.Errorf("%w: %s: %w", errELF, name, err)
			}
			f.interp = strings.TrimRight(string(b), "\x00")
		}
	}
	return f, nil
}

// needs is the highest version of glibc's symbols that a file asks for: section .gnu.version_r, a list of
// libraries with a list of versions each. debug/elf reads it too, but all symbols before it.
func needs(e *elf.File) (best [3]int, err error) {
	s := e.SectionByType(elf.SHT_GNU_VERNEED)
	if s == nil {
		return best, nil
	}
	if int(s.Link) >= len(e.Sections) {
		return best, errors.New("its versions have no names")
	}
	b, err := s.Data()
	if err != nil {
		return best, err
	}
	names, err := e.Sections[s.Link].Data()
	if err != nil {
		return best, err
	}
	short := errors.New("its list of versions is cut off")
	const head, entry, most = 16, 16, 1 << 14
	for at, seen := 0, 0; ; {
		if at < 0 || at+head > len(b) {
			return best, short
		}
		next := int(e.ByteOrder.Uint32(b[at+12:]))
		for v, n := at+int(e.ByteOrder.Uint32(b[at+8:])), e.ByteOrder.Uint16(b[at+2:]); n > 0; n-- {
			if seen++; v < 0 || v+entry > len(b) || seen > most {
				return best, short
			}
			if off := int(e.ByteOrder.Uint32(b[v+8:])); off < len(names) {
				name, _, _ := bytes.Cut(names[off:min(len(names), off+64)], []byte{0})
				if got, ok := glibcVersion(string(name)); ok && less(best, got) {
					best = got
				}
			}
			v += int(e.ByteOrder.Uint32(b[v+12:]))
		}
		if seen++; next == 0 || seen > most {
			return best, nil
		}
		at += next
	}
}

// glibcVersion reads "GLIBC_2.17" and "GLIBC_2.2.5".
func glibcVersion(s string) (v [3]int, ok bool) {
	s, ok = strings.CutPrefix(s, "GLIBC_")
	if !ok {
		return v, false // GLIBC_PRIVATE ends up below, as no number
	}
	for i, p := range strings.SplitN(s, ".", 3) {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return [3]int{}, false
		}
		v[i] = n
	}
	return v, true
}

func less(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// native tells whether a file is for this machine, as 64 or 32 bit.
func (f facts) native() bool {
	switch runtime.GOARCH {
	case "amd64":
		return f.machine == elf.EM_X86_64 && f.class == 64 || f.machine == elf.EM_386 && f.class == 32
	case "arm64":
		return f.machine == elf.EM_AARCH64 && f.class == 64
	}
	return f.class == 64
}

// budget is a reader that fails when too much was read through it. debug/elf reads what headers say in
// pieces, so a file that claims to be huge ends here and not in all of the memory.
type budget struct {
	r    io.ReaderAt
	left int64
}

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("more than %d bytes of headers", maxRead)
	}
	return b.r.ReadAt(p, off)
}
