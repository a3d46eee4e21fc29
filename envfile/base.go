package envfile

import (
	"errors"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// BaseKind is where a base comes from.
type BaseKind string

// The forms of a base.
const (
	BaseRegistry      BaseKind = "registry"       // NAME[:TAG][@DIGEST]
	BaseOCI           BaseKind = "oci"            // oci:DIR[:TAG]
	BaseOCIArchive    BaseKind = "oci-archive"    // oci-archive:FILE
	BaseDockerArchive BaseKind = "docker-archive" // docker-archive:FILE
	BaseDir           BaseKind = "dir"            // dir:DIR
	BaseDeb           BaseKind = "deb"            // deb:SUITE[+PACKAGE…]
)

// Base is a base, taken apart.
type Base struct {
	Kind     BaseKind
	Ref      string   // all behind the prefix; of a registry's image the whole reference
	Path     string   // oci, oci-archive, docker-archive, dir: relative to the env file, or absolute
	Tag      string   // oci: "" if there is none
	Suite    string   // deb
	Packages []string // deb
}

// String gives the base as it is written.
func (b Base) String() string {
	if b.Kind == BaseRegistry {
		return b.Ref
	}
	return string(b.Kind) + ":" + b.Ref
}

// ParseBase reads one of the base forms. It checks the form only; whether the image exists is the
// business of who fetches it.
func ParseBase(s string) (Base, error) {
	kind, rest, _ := strings.Cut(s, ":")
	b := Base{Kind: BaseKind(kind), Ref: rest}
	switch b.Kind {
	case BaseOCI:
		b.Path = rest
		if i := strings.LastIndexByte(rest, ':'); i >= 0 {
			b.Path, b.Tag = rest[:i], rest[i+1:]
			if !isTag(b.Tag) {
				return Base{}, errors.New("wants oci:DIR[:TAG]")
			}
		}
		return b, checkPath(b.Path)
	case BaseOCIArchive, BaseDockerArchive, BaseDir:
		b.Path = rest
		return b, checkPath(rest)
	case BaseDeb:
		return parseDeb(b)
	}
	b = Base{Kind: BaseRegistry, Ref: s}
	return b, checkReference(s)
}

func checkBase(s string) error {
	_, err := ParseBase(s)
	return err
}

// parseDeb splits SUITE+PACKAGE+PACKAGE. Names of packages may hold a plus, too (g++, libstdc++6): one
// that follows or precedes another plus belongs to the name.
func parseDeb(b Base) (Base, error) {
	want := errors.New("wants deb:SUITE[+PACKAGE…], such as deb:trixie+python3")
	start, parts := 0, []string(nil)
	for i := 1; i+1 < len(b.Ref); i++ {
		if b.Ref[i] == '+' && b.Ref[i-1] != '+' && isAlnum(b.Ref[i+1]) {
			parts, start = append(parts, b.Ref[start:i]), i+1
		}
	}
	parts = append(parts, b.Ref[start:])
	b.Suite, b.Packages = parts[0], parts[1:]
	if checkSuite(b.Suite) != nil || strings.Contains(b.Suite, "/") {
		return Base{}, want
	}
	for _, p := range b.Packages {
		if !isAptName(p) {
			return Base{}, hint.With(want, "not a package name: "+quote(p))
		}
	}
	return b, nil
}

func isTag(s string) bool {
	return len(s) <= 128 && all(s, with(isAlnum, "_.-")) && (isAlnum(s[0]) || s[0] == '_')
}

// checkReference takes [HOST/]PATH[:TAG][@DIGEST] as registries define it.
func checkReference(s string) error {
	want := errors.New(`wants an image such as "debian:trixie", "registry.example.org/team/image@sha256:…" or "deb:trixie"`)
	if _, after, ok := strings.Cut(s, "://"); ok {
		return hint.With(want, "write "+quote(after))
	}
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !isImageDigest(digest) {
		return errors.New("wants a digest of the form sha256: and 64 hexadecimal digits")
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if !isTag(name[i+1:]) {
			return want
		}
		name = name[:i]
	}
	parts := strings.Split(name, "/")
	if len(parts) > 1 && (strings.ContainsAny(parts[0], ".:") || parts[0] == "localhost") {
		if checkRegistryHost(parts[0]) != nil {
			return want
		}
		parts = parts[1:]
	}
	for _, p := range parts {
		if !isRepoPart(p) {
			if low := strings.ToLower(s); low != s && checkReference(low) == nil {
				return hint.With(errors.New("wants an image name in lower case"), "write "+quote(low))
			}
			return want
		}
	}
	if len(name) > 255 {
		return errors.New("wants an image name of at most 255 characters")
	}
	return nil
}

// isRepoPart takes lower-case letters and digits with single dots, one or two underscores or any
// number of dashes between them.
func isRepoPart(s string) bool {
	if !all(s, func(c byte) bool { return isLower(c) || isDigit(c) || strings.IndexByte("._-", c) >= 0 }) {
		return false
	}
	sep := func(c byte) bool { return strings.IndexByte("._-", c) >= 0 }
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && sep(s[j]) {
			j++
		}
		if j > i {
			run := s[i:j]
			if i == 0 || j == len(s) || run != "." && run != "_" && run != "__" && strings.Trim(run, "-") != "" {
				return false
			}
		}
		i = j + 1
	}
	return true
}

func isImageDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	return want > 0 && len(hex) == want && all(hex, with(isDigit, "abcdef"))
}

// checkVendor takes an image's reference or an archive.
func checkVendor(s string) error {
	b, err := ParseBase(s)
	if err != nil || b.Kind == BaseDeb || b.Kind == BaseDir || b.Kind == BaseDockerArchive {
		return errors.New("wants an image's reference, oci:DIR[:TAG] or oci-archive:FILE")
	}
	return nil
}
