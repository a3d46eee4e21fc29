package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// PythonRequest is one resolution of [python].
type PythonRequest struct {
	Box      Box // where uv runs: its layers, stubs and log are set
	Python   Python
	File     *envfile.File
	Dir      string            // the project's folder
	Packages []string          // requirements beside those of the env file, such as claims of [toolchain]
	Limits   []string          // conditions that hold only for what something else requires
	Base     []wheel.Dist      // what the base has installed
	Prefer   map[string]string // pins to keep where they fit: normalised name to version
	UV       string            // a static uv on this machine
	Client   *wheel.Client
	Set      wheel.Set
	CA       string // the host's bundle of certificates; "" for uv's own
	Environ  map[string]string
	Temp     string       // a folder for this call alone
	Cache    string       // uv's cache; the interpreter of the image can write it, so never share it between images
	Notice   func(string) // nil: nothing is said
}

// ResolvedWheel is a pin together with what is known of its file only now.
type ResolvedWheel struct {
	envfile.WheelPin
	URL        string // where it was seen; "" where only its index is known
	UploadTime string // RFC 3339, or ""
}

// Pin is the wheel as package wheel wants it.
func (w ResolvedWheel) Pin() wheel.Pin {
	p := WheelOf(w.WheelPin)
	p.URL, p.UploadTime = w.URL, w.UploadTime
	return p
}

// WheelOf is a pin of a lock as package wheel wants it.
func WheelOf(p envfile.WheelPin) wheel.Pin {
	size := p.Size
	if size == 0 {
		size = -1
	}
	return wheel.Pin{Name: p.Name, Version: p.Version, File: p.File, Size: size, SHA256: p.SHA256, Index: p.Index}
}

// ResolvePython pins what [python] asks for: wheels alone, for exactly this interpreter and C
// library. What the base has installed is kept wherever the requirements allow it and is pinned
// with From "base"; a requirement that does not allow it wins. Errors of the resolution are
// *[ResolveError]; packages without a fitting wheel are *[wheel.NoWheelError].
func ResolvePython(ctx context.Context, r PythonRequest) ([]ResolvedWheel, error) {
	py := r.File.Python
	switch {
	case py.Sdist.Allow || len(py.Sdist.Names) > 0:
		return nil, errors.New("building source distributions ([python] sdist) is not supported by this version")
	case py.Into == "base":
		return nil, errors.New(`[python] into = "base" is not supported by this version`)
	}
	run, err := newUVRun(ctx, r)
	if err != nil {
		return nil, err
	}
	locked, err := run.projectLock(ctx)
	if err != nil {
		return nil, err
	}
	var pins []wheel.Pin
	if locked != nil && !run.asks() {
		pins = locked
	} else {
		if err := run.writeInputs(locked); err != nil {
			return nil, err
		}
		if pins, err = run.compile(ctx); err != nil {
			return nil, err
		}
		pins = sameFiles(pins, locked)
	}
	pins = run.markBase(pins)
	if err := run.nameIndexes(ctx, pins); err != nil {
		return nil, err
	}
	return resolved(pins), nil
}

// fromBase marks the pin of something that the base has: it has no file.
const fromBase = "base"

func resolved(pins []wheel.Pin) []ResolvedWheel {
	out := make([]ResolvedWheel, 0, len(pins))
	for _, p := range pins {
		w := ResolvedWheel{WheelPin: envfile.WheelPin{Name: wheel.Normalize(p.Name), Version: p.Version}}
		if p.File == "" {
			w.From = fromBase
		} else {
			w.File, w.SHA256, w.Index, w.Size = p.File, p.SHA256, p.Index, max(p.Size, 0)
			w.URL, w.UploadTime = p.URL, p.UploadTime
		}
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b ResolvedWheel) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// sameFiles puts back the files that a lock of the project names: the resolver saw only versions.
func sameFiles(pins, locked []wheel.Pin) []wheel.Pin {
	for i, p := range pins {
		for _, l := range locked {
			if wheel.Normalize(l.Name) == wheel.Normalize(p.Name) && l.Version == p.Version {
				pins[i] = l
			}
		}
	}
	return pins
}

// markBase turns what came out with the version that the base has into pins without a file, and says
// what is put before the base's.
func (u *uvRun) markBase(pins []wheel.Pin) []wheel.Pin {
	have := map[string]wheel.Dist{}
	for _, d := range u.r.Base {
		have[wheel.Normalize(d.Name)] = d
	}
	for i, p := range pins {
		d, ok := have[wheel.Normalize(p.Name)]
		if !ok {
			continue
		}
		if sameVersion(d.Version, p.Version) {
			pins[i] = wheel.Pin{Name: p.Name, Version: d.Version}
		} else if u.r.Notice != nil {
			u.r.Notice(fmt.Sprintf("%s %s is used instead of %s, which the base has", p.Name, p.Version, d.Version))
		}
	}
	return pins
}

func sameVersion(a, b string) bool {
	v, err1 := wheel.ParseVersion(a)
	w, err2 := wheel.ParseVersion(b)
	return a == b || err1 == nil && err2 == nil && v.Compare(w) == 0
}

// nameIndexes gives each pin the name under which other machines find its file. uv does not say
// where a file came from; so the indexes are asked, in their order, unless there is only one name.
func (u *uvRun) nameIndexes(ctx context.Context, pins []wheel.Pin) error {
	var names []string
	for _, x := range u.set.List {
		if !slices.Contains(names, x.Name) {
			names = append(names, x.Name)
		}
	}
	for i := range pins {
		p := &pins[i]
		if p.File == "" {
			continue
		}
		if strings.HasPrefix(p.URL, "file:") || p.URL != "" && !strings.Contains(p.URL, "://") {
			p.URL = ""
		}
		if len(names) <= 1 && !u.ownIndexes && p.SHA256 != "" {
			p.Index = wheel.Default
			continue
		}
		if err := u.nameIndex(ctx, p, names); err != nil {
			return err
		}
	}
	return nil
}

func (u *uvRun) nameIndex(ctx context.Context, p *wheel.Pin, names []string) error {
	var errs []error
	for _, n := range names {
		try := *p
		try.Index = n
		f, err := u.r.Client.Find(ctx, u.set.List, try)
		if err == nil {
			p.Index, p.URL = n, f.URL
			if p.SHA256 == "" {
				p.SHA256, err = hashOf(f)
			}
			return err
		}
		errs = append(errs, err)
	}
	err := fmt.Errorf("%s: no index of this project has the file: %w", p.File, errors.Join(errs...))
	return hint.With(err, "name the index that has it with [[python.index]]")
}

// hashOf is the hash of a file for which the resolver gave none: one in a folder of this machine.
func hashOf(f wheel.File) (string, error) {
	if f.SHA256 != "" {
		return f.SHA256, nil
	}
	r, err := f.OpenLocal()
	if err != nil {
		return "", fmt.Errorf("the index gives no sha256 of %s", f.Name)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// asOf is the moment up to which files count, for indexes that uv does not ask itself; zero is now.
// A day means all of it, as uv takes it.
func asOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.Parse(time.DateOnly, s); err == nil {
		return d.Add(24 * time.Hour), nil
	}
	return time.Parse(time.RFC3339, s)
}

// inside is the path in the box of something in the scratch folder.
func inside(name string) string { return path.Join(BoxRun, "work", name) }

func (u *uvRun) write(name, text string) error {
	p := filepath.Join(u.r.Temp, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, []byte(text), 0o644)
}
