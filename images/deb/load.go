package deb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/sync/errgroup"
)

// Loader loads archives. It may be used by many goroutines at once. Get must be set.
type Loader struct {
	Get  Getter
	Root string           // where the host's keyrings are looked for; "" = "/"
	Now  func() time.Time // nil = time.Now
	Log  *slog.Logger     // nil = nothing is logged

	// Seen, if set, is told each archive's date and returns the newest date seen before, so that a
	// mirror that goes back in time is noticed.
	Seen func(archive string, date time.Time) time.Time
}

// Archive is one suite of a verified archive. Its methods may be called by many goroutines at once.
type Archive struct {
	Name       string // "Debian/trixie-updates": the first two parts of what pins call Archive
	Source     Source // with Origin filled in
	Origin     string
	Label      string
	Suite      string
	Codename   string
	Version    string // "13.1"; empty for most suites but the main ones
	Date       time.Time
	Components []string // those that were loaded
	Signer     string   // fingerprint of the key; empty for a trusted source
	Notes      []string // what the user should know, such as that the mirror went back in time

	rel         *release
	indexes     []*index
	releaseFile string // "InRelease" or "Release"
	releaseData []byte
	files       []listedFile // the indexes as they were fetched
	local       string       // the index of an archive made by [Local]
}

type listedFile struct {
	name string // below the Release
	file
}

// Load fetches the Release of src, verifies it, and loads the package indexes for arch.
func (l *Loader) Load(ctx context.Context, src Source, arch string) (*Archive, error) {
	a, err := l.Release(ctx, src)
	if err != nil {
		return nil, err
	}
	return a, l.loadIndexes(ctx, a, arch)
}

// Indexes loads the package indexes of archives that [Loader.Release] or [Loader.Suite] verified,
// all at once. One that has its indexes already keeps them.
func (l *Loader) Indexes(ctx context.Context, archives []*Archive, arch string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range archives {
		if a.indexes == nil {
			g.Go(func() error { return l.loadIndexes(ctx, a, arch) })
		}
	}
	return g.Wait()
}

// Release fetches and verifies what src says about itself, without any index.
func (l *Loader) Release(ctx context.Context, src Source) (*Archive, error) {
	if why := src.usable(); why != "" {
		return nil, fmt.Errorf("apt source %s: %s", src, why)
	}
	a := &Archive{}
	text, err := l.signedRelease(ctx, src, a)
	if err != nil {
		return nil, err
	}
	r, err := parseRelease(text)
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w", src, err)
	}
	if err := r.check(src, l.now()); err != nil {
		return nil, err
	}
	src.Origin = r.Origin
	a.Name, a.Source, a.Origin, a.Label, a.Suite, a.Codename = r.name(src), src, r.Origin, r.Label, r.Suite, r.Codename
	a.Version, a.Date, a.rel = r.Version, r.Date, r
	if l.Seen != nil {
		if last := l.Seen(a.Name, r.Date); last.After(r.Date) {
			a.Notes = append(a.Notes, fmt.Sprintf("%s is of %s, but a release of %s was seen before: the mirror is behind, or somebody replays an old state",
				src, r.Date.Format(time.DateTime), last.UTC().Format(time.DateTime)))
		}
	}
	return a, nil
}

func (l *Loader) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

func (l *Loader) root() string {
	if l.Root != "" {
		return l.Root
	}
	return "/"
}

// signedRelease is the text of InRelease, or of Release with Release.gpg beside it for archives that
// have no InRelease. It notes in a what it was and who signed it.
func (l *Loader) signedRelease(ctx context.Context, src Source, a *Archive) (text string, err error) {
	var keys openpgp.EntityList
	var files []string
	if !src.Trusted {
		if keys, files, err = src.keys(l.root()); err != nil {
			return "", err
		}
		if len(keys) == 0 {
			return "", &SignatureError{src.base(), "no keyring at hand holds a key for it",
				"install the package with the archive's keys (debian-archive-keyring, ubuntu-keyring), or name a file with [image] keyring"}
		}
	}
	a.releaseFile = "InRelease"
	a.releaseData, err = l.Get.Get(ctx, src.base()+"/InRelease", maxRelease)
	if errors.Is(err, ErrNotFound) {
		return l.detachedRelease(ctx, src, a, keys, files, err)
	} else if err != nil {
		return "", fmt.Errorf("release of %s: %w", src, err)
	}
	text, a.Signer, err = openInRelease(a.releaseData, keys, l.now())
	if src.Trusted && text != "" {
		a.Signer = ""
		return text, nil
	}
	if err != nil {
		return "", signatureError(src.base()+"/InRelease", err, files)
	}
	return text, nil
}

func (l *Loader) detachedRelease(ctx context.Context, src Source, a *Archive, keys openpgp.EntityList, files []string, notFound error) (string, error) {
	data, err := l.Get.Get(ctx, src.base()+"/Release", maxRelease)
	if errors.Is(err, ErrNotFound) {
		err = notFound // of the name that an archive should have
	}
	if err != nil {
		return "", fmt.Errorf("release of %s: %w", src, err)
	}
	a.releaseFile, a.releaseData = "Release", data
	if src.Trusted {
		return string(data), nil
	}
	sig, err := l.Get.Get(ctx, src.base()+"/Release.gpg", maxRelease)
	if err != nil {
		return "", fmt.Errorf("release of %s: %w", src, err)
	}
	raw := packet.NewReader(bytes.NewReader(sig))
	if b, err := armor.Decode(bytes.NewReader(sig)); err == nil {
		raw = packet.NewReader(b.Body)
	}
	if a.Signer, err = checkSignatures(data, raw, keys, l.now()); err != nil {
		return "", signatureError(src.base()+"/Release.gpg", err, files)
	}
	return string(data), nil
}

func signatureError(release string, err error, files []string) error {
	advice := "a proxy or mirror may have changed the file; if the archive has a new key, name its keyring with [image] keyring or Signed-By"
	if len(files) > 0 {
		advice += " (looked in " + strings.Join(files, ", ") + ")"
	}
	if strings.Contains(err.Error(), "expired") || strings.Contains(err.Error(), "not in the keyring") {
		advice = "update the package that holds the archive's keys (debian-archive-keyring, ubuntu-keyring), or name a newer keyring with [image] keyring"
		if len(files) > 0 {
			advice += "; looked in " + strings.Join(files, ", ")
		}
	}
	return &SignatureError{release, err.Error(), advice}
}

// loadIndexes loads the wanted components, or all that there are.
func (l *Loader) loadIndexes(ctx context.Context, a *Archive, arch string) error {
	want := a.Source.Components
	if len(want) == 0 {
		want = a.rel.Components
	}
	if a.Source.flat() {
		want = []string{""}
	}
	type job struct{ component, path string }
	var jobs []job
	for _, c := range want {
		dir := c + "/binary-" + arch + "/Packages"
		if a.Source.flat() {
			dir = "Packages"
		}
		if !a.rel.has(dir) {
			if len(a.Source.Components) == 0 {
				continue
			}
			return fmt.Errorf("%s: no component %q for %s; it has components %s, architectures %s", a.Source, c, arch,
				strings.Join(a.rel.Components, " "), strings.Join(a.rel.Architectures, " "))
		}
		jobs = append(jobs, job{c, dir})
		if all := c + "/binary-all/Packages"; !a.Source.flat() && a.rel.ArchAll && a.rel.has(all) {
			jobs = append(jobs, job{c, all})
		}
	}
	a.indexes, a.files = make([]*index, len(jobs)), make([]listedFile, len(jobs))
	g, ctx := errgroup.WithContext(ctx)
	for i, j := range jobs {
		g.Go(func() error {
			text, from, err := l.fetchIndex(ctx, a, j.path)
			a.files[i] = from
			if err != nil {
				return fmt.Errorf("package index of %s: %w", a.Source, err)
			}
			name := a.Name + "/" + j.component
			if j.component == "" {
				name = a.Name + "/."
			}
			a.indexes[i], err = newIndex(name, arch, text)
			if err != nil {
				return fmt.Errorf("package index of %s: %w", name, err)
			}
			return nil
		})
	}
	for _, j := range jobs {
		if !slices.Contains(a.Components, j.component) {
			a.Components = append(a.Components, j.component)
		}
	}
	return g.Wait()
}
