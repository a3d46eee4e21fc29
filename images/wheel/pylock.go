package wheel

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Pylock is a pylock.toml (PEP 751) as far as wheels need it.
type Pylock struct {
	Version        string          `toml:"lock-version"`
	Environments   []string        `toml:"environments"`
	RequiresPython string          `toml:"requires-python"`
	DefaultGroups  []string        `toml:"default-groups"`
	Packages       []PylockPackage `toml:"packages"`
}

// PylockPackage is one entry of a pylock.toml.
type PylockPackage struct {
	Name           string        `toml:"name"`
	Version        string        `toml:"version"`
	Marker         string        `toml:"marker"`
	RequiresPython string        `toml:"requires-python"`
	Index          string        `toml:"index"`
	Wheels         []PylockFile  `toml:"wheels"`
	Sdist          *PylockFile   `toml:"sdist"`
	Archive        *PylockFile   `toml:"archive"`
	Directory      *PylockSource `toml:"directory"`
	VCS            *PylockSource `toml:"vcs"`
}

// PylockFile is one file of an entry.
type PylockFile struct {
	Name       string            `toml:"name"`
	URL        string            `toml:"url"`
	Path       string            `toml:"path"`
	Size       int64             `toml:"size"`
	UploadTime time.Time         `toml:"upload-time"`
	Hashes     map[string]string `toml:"hashes"`
}

// PylockSource is a package that is not a file: a folder or a repository.
type PylockSource struct {
	URL      string `toml:"url"`
	Path     string `toml:"path"`
	Editable bool   `toml:"editable"`
}

// maxPylock bounds a pylock.toml.
const maxPylock = 64 << 20

// ParsePylock reads a pylock.toml. Keys that are not needed are passed over, as the format wants it;
// another major version is an error.
func ParsePylock(b []byte) (*Pylock, error) {
	if len(b) > maxPylock {
		return nil, fmt.Errorf("pylock.toml: larger than %d bytes", maxPylock)
	}
	var p Pylock
	if _, err := toml.Decode(string(b), &p); err != nil {
		return nil, fmt.Errorf("pylock.toml: %w", err)
	}
	if major, _, _ := strings.Cut(p.Version, "."); major != "1" {
		return nil, fmt.Errorf("pylock.toml: unknown version of the format: %q", p.Version)
	}
	for _, k := range p.Packages {
		if !ValidName(k.Name) {
			return nil, fmt.Errorf("pylock.toml: not a project name: %q", k.Name)
		}
	}
	return &p, nil
}

// NoWheelError says that a package cannot be installed from a wheel on the target.
type NoWheelError struct {
	Name, Version string
	Kind          string   // what there is instead: "sdist", "archive", "directory", "vcs", or "" for wheels of other systems
	Offer         []string // file names of those wheels
	Target        Target
}

func (e *NoWheelError) Error() string {
	s := strings.TrimSpace(e.Name + " " + e.Version)
	switch e.Kind {
	case "sdist":
		return s + " has only a source distribution, no wheel for Python " + e.Target.Python
	case "":
		return s + " has no wheel for Python " + e.Target.Python + " on " + e.Target.machine()
	}
	return fmt.Sprintf("%s is not a wheel but a %s", s, map[string]string{"vcs": "repository", "directory": "folder", "archive": "source archive"}[e.Kind])
}

// Select picks what is to be installed on t: the packages whose markers hold with these extras and
// groups, and for each the one wheel that fits best. The result is sorted by name. A package
// without a fitting wheel is a *[NoWheelError]; all of them are joined.
func (p *Pylock) Select(t Target, extras, groups []string) ([]Pin, error) {
	rank, err := t.Ranker()
	if err != nil {
		return nil, err
	}
	env := t.Environment(extras, append(slices.Clone(p.DefaultGroups), groups...))
	if err := p.fits(env); err != nil {
		return nil, err
	}
	var pins []Pin
	var errs []error
	seen := map[string]string{}
	for _, k := range p.Packages {
		ok, err := env.Eval(k.Marker)
		if err != nil {
			return nil, fmt.Errorf("pylock.toml: %s: %w", k.Name, err)
		}
		if !ok {
			continue
		}
		if v, twice := seen[Normalize(k.Name)]; twice {
			return nil, fmt.Errorf("pylock.toml: %s: two entries hold for this system: %s and %s", k.Name, v, k.Version)
		}
		seen[Normalize(k.Name)] = k.Version
		if err := requires(k.RequiresPython, env); err != nil {
			return nil, fmt.Errorf("pylock.toml: %s %s: %w", k.Name, k.Version, err)
		}
		pin, err := k.pick(rank, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pins = append(pins, pin)
	}
	slices.SortFunc(pins, func(a, b Pin) int { return cmp.Compare(Normalize(a.Name), Normalize(b.Name)) })
	return pins, errors.Join(errs...)
}

// fits checks the whole file against the target.
func (p *Pylock) fits(env Environment) error {
	if err := requires(p.RequiresPython, env); err != nil {
		return fmt.Errorf("pylock.toml: %w", err)
	}
	if len(p.Environments) == 0 {
		return nil
	}
	for _, m := range p.Environments {
		ok, err := env.Eval(m)
		if err != nil {
			return fmt.Errorf("pylock.toml: %w", err)
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("pylock.toml is not for this system; it is for: %s", strings.Join(p.Environments, "; "))
}

func requires(spec string, env Environment) error {
	s, err := ParseSpecifier(spec)
	if err != nil {
		return err
	}
	full := env.Vars["python_full_version"]
	v, err := ParseVersion(full)
	if err != nil {
		return err
	}
	if !s.Allows(v) {
		return fmt.Errorf("needs Python %s, this one is %s", spec, full)
	}
	return nil
}

// pick chooses the wheel with the best tag, and among equals the highest build.
func (k PylockPackage) pick(rank *Ranker, t Target) (Pin, error) {
	none := &NoWheelError{Name: k.Name, Version: k.Version, Target: t}
	best, bestRank, bestBuild := -1, 0, ""
	for i, w := range k.Wheels {
		f, err := ParseFilename(w.file())
		if err != nil {
			return Pin{}, fmt.Errorf("pylock.toml: %s: %w", k.Name, err)
		}
		none.Offer = append(none.Offer, w.file())
		n, ok := rank.Rank(f)
		if ok && (best < 0 || n < bestRank || n == bestRank && buildLess(bestBuild, f.Build)) {
			best, bestRank, bestBuild = i, n, f.Build
		}
	}
	if best < 0 {
		none.Kind = k.otherKind()
		return Pin{}, none
	}
	w := k.Wheels[best]
	f, _ := ParseFilename(w.file())
	if Normalize(f.Name) != Normalize(k.Name) {
		return Pin{}, fmt.Errorf("pylock.toml: %s: a wheel of another package: %s", k.Name, w.file())
	}
	sha := checkedHash(w.Hashes["sha256"])
	if sha == "" && w.Path == "" {
		return Pin{}, fmt.Errorf("pylock.toml: %s: no sha256", w.file())
	}
	pin := Pin{Name: k.Name, Version: cmp.Or(k.Version, f.Version), File: w.file(), Size: -1, SHA256: sha, Index: k.Index, URL: cmp.Or(w.URL, w.Path)}
	if w.Size > 0 {
		pin.Size = w.Size
	}
	if !w.UploadTime.IsZero() {
		pin.UploadTime = w.UploadTime.UTC().Format(time.RFC3339)
	}
	return pin, nil
}

func (k PylockPackage) otherKind() string {
	switch {
	case k.Archive != nil:
		return "archive"
	case k.Directory != nil:
		return "directory"
	case k.VCS != nil:
		return "vcs"
	case k.Sdist != nil:
		return "sdist"
	}
	return ""
}

// file is the name of a file: given, or the last part of its address.
func (f PylockFile) file() string {
	if f.Name != "" {
		return f.Name
	}
	if u, err := url.Parse(f.URL); err == nil && f.URL != "" {
		return path.Base(u.Path)
	}
	return path.Base(f.Path)
}
