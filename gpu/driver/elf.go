package driver

import (
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
func inspect(name string) (f facts, err error) {
	defer func() {
		// debug/elf promises nothing for files that are made to break it.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s: %v", errELF, name, r)
		}
	}()
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return facts{}, err
	}
	defer file.Close()
	return inspectReader(name, file)
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
		f.soname = names[0]
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

// needs is the highest version of glibc's symbols that a file asks for.
func needs(e *elf.File) (best [3]int, err error) {
	all, err := e.DynamicVersionNeeds()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return best, err
	}
	for _, lib := range all {
		for _, n := range lib.Needs {
			if v, ok := glibcVersion(n.Dep); ok && less(best, v) {
				best = v
			}
		}
	}
	return best, nil
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
