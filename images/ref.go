package images

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// Kind is where an image comes from.
type Kind string

// The kinds of references.
const (
	Registry      Kind = ""
	OCI           Kind = "oci"
	OCIArchive    Kind = "oci-archive"
	DockerArchive Kind = "docker-archive"
	Dir           Kind = "dir"
)

// Ref is a parsed reference. Host, Path, Tag and Digest belong to images of a registry, File and, for
// OCI, Tag to the others. File of an archive is FILE[:NAME]: what of it is the file is seen where it is opened.
type Ref struct {
	Kind       Kind
	Host, Path string // "docker.io", "library/debian"
	Tag        string // "" where a digest stands alone
	Digest     store.Digest
	File       string // as it was written, perhaps relative
}

// The grammar of the distribution specification and of its reference implementation.
var (
	component = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagForm   = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	hostForm  = lazyregexp.New(`^(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(?:\.(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$`)
)

const (
	defaultHost = "docker.io"
	defaultTag  = "latest"
	maxName     = 255
)

// ParseRef reads name[:tag][@digest], oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME] or dir:DIR.
// A name without a host is one of docker.io.
func ParseRef(s string) (Ref, error) {
	kind, rest, ok := strings.Cut(s, ":")
	switch k := Kind(kind); {
	case ok && (k == OCI || k == OCIArchive || k == DockerArchive || k == Dir):
		return parseFile(k, rest)
	case ok && kind == "deb":
		return Ref{}, fmt.Errorf("not an image: %s is assembled from packages", s)
	case strings.Contains(s, "://"):
		return Ref{}, hint.With(fmt.Errorf("not an image reference: %q", s), "write it without the scheme, as registry.example/team/app:1.0")
	}
	r, err := parseName(s)
	if err != nil {
		return Ref{}, hint.With(fmt.Errorf("not an image reference: %q: %w", s, err), pathHint(s))
	}
	return r, nil
}

// pathHint says how a file or a folder is written as a reference, for what can only be one; else it is "".
func pathHint(s string) string {
	switch {
	case !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "./") && !strings.HasPrefix(s, "../"):
		return ""
	case strings.HasSuffix(s, ".tgz"), strings.Contains(path.Base(s), ".tar"):
		return "a file is written as oci-archive:" + s + " or docker-archive:" + s
	}
	return "a folder is written as oci:" + s + " if it is an OCI layout, as dir:" + s + " if it holds the files of a system"
}

func parseFile(k Kind, rest string) (Ref, error) {
	r := Ref{Kind: k, File: rest}
	if i := strings.LastIndexByte(rest, ':'); k == OCI && i > 0 && !strings.Contains(rest[i:], "/") {
		r.File, r.Tag = rest[:i], rest[i+1:]
		if r.Tag == "" {
			return Ref{}, fmt.Errorf("not an image reference: %q: nothing follows the colon", string(k)+":"+rest)
		}
	}
	if r.File == "" || strings.ContainsRune(r.File, 0) {
		return Ref{}, fmt.Errorf("not an image reference: %q: it names no file", string(k)+":"+rest)
	}
	return r, nil
}

func parseName(s string) (r Ref, err error) {
	name, digest, ok := strings.Cut(s, "@")
	if ok {
		if r.Digest, err = store.ParseDigest(digest); err != nil {
			return r, err
		}
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") && !strings.HasSuffix(name, "]") {
		name, r.Tag = name[:i], name[i+1:]
		if !tagForm.MatchString(r.Tag) {
			return r, fmt.Errorf("bad tag %q", r.Tag)
		}
	}
	if name == "" {
		return r, errors.New("there is no name")
	}
	r.Host, r.Path = splitName(name)
	switch {
	case len(r.Path) > maxName:
		return r, fmt.Errorf("a name of more than %d characters", maxName)
	case !hostForm.MatchString(r.Host):
		return r, fmt.Errorf("bad host %q", r.Host)
	}
	for _, c := range strings.Split(r.Path, "/") {
		if c != strings.ToLower(c) {
			return r, errors.New("names are lower case")
		}
		if !component.MatchString(c) {
			return r, fmt.Errorf("bad name %q", name)
		}
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = defaultTag
	}
	return r, nil
}

// splitName tells a host from the first part of a path: it has a dot, a colon or an upper-case letter, or is
// localhost.
func splitName(name string) (host, path string) {
	first, rest, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(first, ".:[") && first != "localhost" && first == strings.ToLower(first) {
		host, path = defaultHost, name
	} else {
		host, path = first, rest
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = defaultHost
	}
	if host == defaultHost && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return host, path
}

// Name is the repository without tag and digest.
func (r Ref) Name() string { return r.Host + "/" + r.Path }

// String is the reference in full; ParseRef gives the same Ref for it.
func (r Ref) String() string {
	if r.Kind != Registry {
		s := string(r.Kind) + ":" + r.File
		if r.Tag != "" {
			s += ":" + r.Tag
		}
		return s
	}
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}
