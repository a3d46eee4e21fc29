package inject

import (
	"bytes"
	"debug/elf"
	"errors"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu/driver"
	"github.com/4cc2e759/sandbox/gpu/driver/ldcache"
)

// ImageFacts are what an injection has to know of an image. They depend on its layers alone, so a caller
// may keep them with those.
type ImageFacts struct {
	Libc     string          `json:"libc"`            // "glibc", "musl", "" if there is none
	Glibc    [2]int          `json:"glibc"`           // {2, 36}; zero if not known
	Nix      bool            `json:"nix,omitempty"`   // it has programs that look for libraries in /nix/store and not in ld.so.cache
	NoLower  string          `json:"no_lower"`        // why no layer may add files to /etc; "" if one may
	Conf     bool            `json:"conf"`            // an ldconfig inside would find what we add, or there is none
	Compat   []Compat        `json:"compat"`          // cuda-compat packages
	Cache    []ldcache.Entry `json:"cache,omitempty"` // of its ld.so.cache
	Notes    []string        `json:"notes,omitempty"`
	Multilib bool            `json:"multilib,omitempty"` // it runs 32-bit programs
}

// Compat is a cuda-compat package of an image: a newer libcuda for older kernel modules.
type Compat struct {
	Folder  string `json:"folder"`  // to hide: "/usr/local/cuda-12.4/compat"
	Dir     string `json:"dir"`     // with the libraries: the same, or lib below it
	Version string `json:"version"` // "550.54.15"
}

// Bounds for what is read of an image.
const (
	maxLibc = 32 << 20
	maxConf = 1 << 20
)

// ReadImage looks at an image. Whatever is in it, a fact is found or is not known; there is no error.
func ReadImage(m Image) *ImageFacts {
	f := &ImageFacts{}
	f.readCache(&m)
	f.readLibc(&m)
	f.NoLower = m.plainFolder("/etc")
	if f.NoLower == "" {
		f.NoLower = m.plainFolder("/etc/ld.so.conf.d")
	}
	f.Conf = f.included(&m)
	f.readCompat(&m)
	f.Multilib = m.exists("/lib/ld-linux.so.2")
	return f
}

func (f *ImageFacts) readCache(m *Image) {
	b, err := m.read("/etc/ld.so.cache", ldcache.MaxSize)
	if err == nil {
		f.Cache, err = ldcache.Parse(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The linker would not read it either, and looks in its usual folders as it does without one.
		f.Notes = append(f.Notes, "the image's /etc/ld.so.cache is not usable and is replaced: "+err.Error())
	}
}

// loader is the file name of the dynamic linker, glibc's and musl's.
func loader() (glibc, musl string) {
	if runtime.GOARCH == "arm64" {
		return "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"
	}
	return "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"
}

func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// nativeFlags are those of libraries for this machine in ld.so.cache.
func nativeFlags() int32 {
	if runtime.GOARCH == "arm64" {
		return ldcache.Flags(elf.ELFCLASS64, elf.EM_AARCH64)
	}
	return ldcache.Flags(elf.ELFCLASS64, elf.EM_X86_64)
}

func (f *ImageFacts) readLibc(m *Image) {
	places := []string{"/lib/" + multiarch() + "/libc.so.6", "/lib64/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/libc.so.6", "/usr/lib/" + multiarch() + "/libc.so.6", "/lib/libc.so.6"}
	for _, e := range f.Cache {
		if e.Name == "libc.so.6" && e.Flags == nativeFlags() {
			places = append([]string{e.Path}, places...)
			break
		}
	}
	glibc, musl := loader()
	f.Nix = m.exists("/nix/store")
	for _, p := range places {
		b, err := m.read(p, maxLibc)
		if err != nil {
			continue
		}
		if v := libcVersion(b); v != [2]int{} {
			f.Libc, f.Glibc = "glibc", v
			return
		}
	}
	switch {
	case f.Nix:
		f.nixLibc(m)
	case m.exists(musl):
		f.Libc = "musl" // also where gcompat pretends to be glibc's linker
	case m.exists(glibc):
		f.Libc = "glibc"
	}
}

// nixLibc takes the oldest glibc of the store: which one a program uses is the program's.
func (f *ImageFacts) nixLibc(m *Image) {
	for _, n := range m.names("/nix/store") {
		_, rest, ok := strings.Cut(n, "-glibc-") // 0000…-glibc-2.40-66, but also -glibc-locales-2.40
		v := numbers(rest)
		if !ok || v == [2]int{} {
			continue
		}
		if f.Libc = "glibc"; f.Glibc == [2]int{} || v[0] < f.Glibc[0] || v[0] == f.Glibc[0] && v[1] < f.Glibc[1] {
			f.Glibc = v
		}
	}
}

// numbers reads the "2.36" that s begins with.
func numbers(s string) (v [2]int) {
	major, rest, ok := strings.Cut(s, ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	x, err := strconv.ParseUint(major, 10, 8)
	y, err2 := strconv.ParseUint(minor, 10, 16)
	if !ok || err != nil || err2 != nil {
		return v
	}
	return [2]int{int(x), int(y)}
}

// libcVersion is the highest version of symbols that a libc.so.6 has, or what it says of itself.
func libcVersion(b []byte) (best [2]int) {
	defer func() { _ = recover() }()   // debug/elf promises nothing for files made to break it
	const banner = " release version " // GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.
	if at := bytes.Index(b, []byte(banner)); at >= 0 && bytes.Contains(b, []byte("GNU C Library")) {
		rest := b[at+len(banner):]
		if v := numbers(string(rest[:min(len(rest), 16)])); v != [2]int{} {
			return v
		}
	}
	e, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return best
	}
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_COMPRESSED != 0 {
			return best
		}
	}
	versions, err := e.DynamicVersions()
	if err != nil {
		return best
	}
	for _, v := range versions {
		name, ok := strings.CutPrefix(v.Name, "GLIBC_")
		if p := numbers(name); ok && (p[0] > best[0] || p[0] == best[0] && p[1] > best[1]) {
			best = p
		}
	}
	return best
}

// included tells whether the image's ldconfig, if it has one, reads /etc/ld.so.conf.d.
func (f *ImageFacts) included(m *Image) bool {
	if !m.exists("/sbin/ldconfig") && !m.exists("/usr/sbin/ldconfig") && !m.exists("/usr/bin/ldconfig") {
		return true
	}
	b, err := m.read("/etc/ld.so.conf", maxConf)
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		w := strings.Fields(line)
		if len(w) < 2 || w[0] != "include" {
			continue
		}
		for _, pattern := range w[1:] {
			if !path.IsAbs(pattern) {
				pattern = path.Join("/etc", pattern)
			}
			if ok, _ := path.Match(pattern, "/"+confName); ok {
				return true
			}
		}
	}
	return false
}

func (f *ImageFacts) readCompat(m *Image) {
	seen := map[string]bool{}
	folders := []string{"/usr/local/cuda/compat"}
	for _, n := range m.names("/usr/local") {
		if strings.HasPrefix(n, "cuda-") {
			folders = append(folders, "/usr/local/"+n+"/compat")
		}
	}
	for _, folder := range folders[:min(len(folders), 32)] {
		real := m.resolve(folder)
		// A link may lead anywhere in the image, but nothing that hides or stands for our folder is taken.
		if real == "" || seen[real] || below(real, Dir) || below(Dir, real) || real == "/" {
			continue
		}
		seen[real] = true
		for _, dir := range []string{real, path.Join(real, "lib"), path.Join(real, "lib.real")} {
			if v := libcudaIn(m.names(dir)); v != "" {
				f.Compat = append(f.Compat, Compat{Folder: real, Dir: dir, Version: v})
				break
			}
		}
	}
}

// libcudaIn is the version in the name of libcuda among names, if the linker would find it there.
func libcudaIn(names []string) string {
	if !slices.Contains(names, "libcuda.so.1") {
		return ""
	}
	for _, n := range names {
		v, ok := strings.CutPrefix(n, "libcuda.so.")
		if ok && driver.IsVersion(v) {
			return v
		}
	}
	return ""
}
