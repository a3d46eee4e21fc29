package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// ResolveAptInput is what apt resolves.
type ResolveAptInput struct {
	Lowers     []string       // trees of the layers, bottom first; apt is in them
	Archives   []*deb.Archive // verified, with their indexes
	Names      []string       // name or name=version
	Recommends bool
	Keep       map[string]string                     // name -> version that it should keep if it can
	Blob       func(sha256 string) (*os.File, error) // the indexes as they were fetched
	TempDir    func(pattern string) (string, func(), error)
	Log        *slog.Logger
}

const (
	listsInside = BoxRun + "/lists"
	noneInside  = BoxRun + "/none" // an empty folder
)

// ResolveApt lets the apt of an environment choose what names need beyond what is installed, and
// returns what it chose, sorted by name. apt gets the verified indexes of archives in place of its
// own lists, so that it has no reason to go anywhere, and runs without a network in a tree that is
// thrown away. What the environment's own preferences say holds.
func ResolveApt(ctx context.Context, in ResolveAptInput) ([]*deb.Package, error) {
	tree := layer.NewStack(in.Lowers)
	defer tree.Close()
	if err := needApt(tree); err != nil {
		return nil, err
	}
	dir, cleanup, err := in.TempDir("apt-")
	if err != nil {
		return nil, err
	}
	defer cleanup()
	box, err := in.box(tree, dir)
	if err != nil {
		return nil, err
	}
	var out, problems bytes.Buffer
	box.Stdout, box.Stderr = &limitedWriter{w: &out, left: 64 << 20}, &limitedWriter{w: &problems, left: 1 << 20}
	if err := box.Run(ctx, in.command()...); err != nil {
		return nil, in.explain(tree, err, problems.String())
	}
	return in.chosen(out.String())
}

// needApt refuses a base of another distribution.
func needApt(tree *layer.Stack) error {
	if _, err := tree.Stat("/usr/bin/apt-get"); err != nil {
		return hint.With(errors.New("the base has no apt: /usr/bin/apt-get"), "packages can be added to bases of Debian and Ubuntu only; choose another [image] base, for example \"deb:trixie\"")
	}
	return nil
}

// box has the lists bound in, each as apt would have named it.
func (in ResolveAptInput) box(tree *layer.Stack, dir string) (*Box, error) {
	lists, stubs := filepath.Join(dir, "lists"), filepath.Join(dir, "stubs")
	for _, d := range []string{lists, filepath.Join(lists, "partial"), stubs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := MakeStubs(stubs); err != nil {
		return nil, err
	}
	var sources strings.Builder
	for _, a := range in.Archives {
		sources.WriteString(a.ListLine())
		for _, f := range a.ListFiles() {
			if err := in.writeList(lists, f); err != nil {
				return nil, err
			}
		}
	}
	return &Box{
		Lowers: in.Lowers, Stubs: stubs, Log: in.Log,
		Files: map[string]string{"sources.list": sources.String(), "preferences": in.preferences(tree), "none/README": ""},
		Binds: []BoxBind{{Source: lists, Target: listsInside, Write: true}},
		Env:   []string{"DEBIAN_FRONTEND=noninteractive"},
	}, nil
}

func (in ResolveAptInput) writeList(lists string, f deb.ListFile) error {
	name := filepath.Join(lists, f.Name)
	if f.Data != nil {
		return os.WriteFile(name, f.Data, 0o644)
	}
	r, err := in.Blob(f.SHA256)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// preferences are the environment's own, and that what is locked keeps its version.
func (in ResolveAptInput) preferences(tree *layer.Stack) string {
	var b strings.Builder
	if own, err := tree.ReadFile("/etc/apt/preferences", 1<<20); err == nil {
		b.Write(own)
		b.WriteString("\n\n")
	}
	names := make([]string, 0, len(in.Keep))
	for n := range in.Keep {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		// Above what any archive has by itself, below what would allow a downgrade.
		fmt.Fprintf(&b, "Package: %s\nPin: version %s\nPin-Priority: 999\n\n", n, in.Keep[n])
	}
	return b.String()
}

// command overrides by options, which win over every configuration file that the image may have.
func (in ResolveAptInput) command() []string {
	args := []string{"apt-get", "-qq", "-y", "--print-uris"}
	for _, o := range []string{
		"APT::Sandbox::User=root", "APT::Install-Recommends=" + fmt.Sprint(in.Recommends), "APT::Install-Suggests=false",
		"Dir::Etc::SourceList=" + BoxRun + "/sources.list", "Dir::Etc::SourceParts=" + noneInside,
		"Dir::Etc::Preferences=" + BoxRun + "/preferences", "Dir::State::Lists=" + listsInside,
		"Dir::Cache::PkgCache=", "Dir::Cache::SrcPkgCache=", "Acquire::Languages=none", "Debug::NoLocking=true",
	} {
		args = append(args, "-o", o)
	}
	return append(append(args, "install", "--"), in.Names...)
}

// chosen finds the packages that apt printed, as lines of 'URI' FILE SIZE HASH.
func (in ResolveAptInput) chosen(out string) ([]*deb.Package, error) {
	var pkgs []*deb.Package
	for line := range strings.SplitSeq(out, "\n") {
		if !strings.HasPrefix(line, "'") {
			continue
		}
		uri, rest, _ := strings.Cut(line[1:], "'")
		name, _, _ := strings.Cut(strings.TrimSpace(rest), "_")
		p, err := in.find(name, uri)
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
	sort.Slice(pkgs, func(i, j int) bool { return pkgs[i].Name < pkgs[j].Name })
	return pkgs, nil
}

// find looks through the archives for what apt calls uri; a copy, which the caller may change.
func (in ResolveAptInput) find(name, uri string) (*deb.Package, error) {
	plain, err := url.PathUnescape(uri)
	if err != nil {
		plain = uri
	}
	for _, a := range in.Archives {
		all, err := deb.Versions([]*deb.Archive{a}, name)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if at := a.Source.URI + "/" + p.Path; at == uri || at == plain {
				found := *p
				return &found, nil
			}
		}
	}
	return nil, fmt.Errorf("apt chose %s, which no verified index has", uri)
}

// explain says what apt could not do: a name that is not there is looked for first.
func (in ResolveAptInput) explain(tree *layer.Stack, err error, output string) error {
	if full := roomError(err); full != nil {
		return full
	}
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	status, _ := tree.ReadFile("/var/lib/dpkg/status", 256<<20)
	var unknown []*deb.UnknownError
	for _, n := range in.Names {
		name, _, _ := strings.Cut(n, "=")
		name, _, _ = strings.Cut(name, ":")
		here := map[string]bool{name: bytes.Contains(status, []byte("\nPackage: "+name+"\n"))}
		if e, lerr := lookFor(in.Archives, n, here); lerr != nil {
			return lerr
		} else if e != nil {
			unknown = append(unknown, e)
		}
	}
	if len(unknown) > 0 {
		return unknownDebs(unknown)
	}
	return fmt.Errorf("apt cannot install %s:\n%s", strings.Join(in.Names, " "), strings.TrimSpace(output))
}

func unknownDeb(archives []*deb.Archive, name string, versions []string) *deb.UnknownError {
	e := &deb.UnknownError{Name: name, Versions: versions}
	for _, a := range archives {
		e.Archives = append(e.Archives, a.Name)
	}
	if len(versions) == 0 {
		e.Nearest = deb.Nearest(archives, name)
	}
	return e
}

// limitedWriter drops what is too much, without an error that would stop the program.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
