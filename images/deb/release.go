package deb

import (
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// Bounds of what a server may send. The largest real ones: 200 kB and 30 MB.
const (
	maxRelease = 16 << 20
	maxIndex   = 1 << 30 // compressed or not; offsets into an index are 32 bits
)

// release is the text of a Release, taken apart.
type release struct {
	Origin, Label, Suite, Codename, Version string
	Date, ValidUntil                        time.Time
	Components                              []string
	Architectures                           []string
	ByHash                                  bool
	ArchAll                                 bool // packages for all architectures have their own index
	Files                                   map[string]file
}

type file struct {
	sha256 string
	size   int64
}

func parseRelease(text string) (*release, error) {
	paras, err := parseControl(text)
	if err != nil {
		return nil, err
	}
	if len(paras) != 1 {
		return nil, fmt.Errorf("%d paragraphs instead of one", len(paras))
	}
	p := paras[0]
	r := &release{
		Origin: p["origin"], Label: p["label"], Suite: p["suite"], Codename: p["codename"], Version: p["version"],
		Components:    strings.Fields(p["components"]),
		Architectures: strings.Fields(p["architectures"]),
		ByHash:        isYes(p["acquire-by-hash"]),
		Files:         map[string]file{},
	}
	// An own index of the packages for all architectures counts only where the Release says that the
	// others lack them: Debian lists one that its security mirrors do not have.
	r.ArchAll = slices.Contains(r.Architectures, "all") && !slices.Contains(strings.Fields(p["no-support-for-architecture-all"]), "Packages")
	for i, c := range r.Components {
		// Security archives say updates/main and have their index at main.
		r.Components[i] = strings.TrimPrefix(c, "updates/")
	}
	// Names become part of pins and messages.
	for _, n := range []string{r.Origin, r.Suite, r.Codename} {
		if strings.ContainsFunc(n, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return nil, fmt.Errorf("bad name %q", n)
		}
	}
	if r.Date, err = releaseTime(p["date"]); err != nil {
		return nil, err
	}
	if v := p["valid-until"]; v != "" {
		if r.ValidUntil, err = releaseTime(v); err != nil {
			return nil, err
		}
	}
	for line := range strings.SplitSeq(p["sha256"], "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		size, err := strconv.ParseInt(f[min(1, len(f)-1)], 10, 64)
		if len(f) != 3 || !isSHA256(f[0]) || err != nil || size < 0 {
			return nil, fmt.Errorf("bad line in SHA256: %q", line)
		}
		r.Files[f[2]] = file{f[0], size}
	}
	if len(r.Files) == 0 {
		return nil, errors.New("it has no SHA256 sums")
	}
	return r, nil
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func releaseTime(s string) (time.Time, error) {
	t, err := mail.ParseDate(strings.Replace(s, "UTC", "+0000", 1))
	if err != nil {
		return t, fmt.Errorf("bad time %q", s)
	}
	return t.UTC(), nil
}

// check compares a Release with what was asked for.
func (r *release) check(s Source, now time.Time) error {
	// A third party's Release may name nothing; old security suites are asked for as RELEASE/updates.
	named := s.flat() || r.Suite == "" && r.Codename == "" || s.Suite == r.Suite || s.Suite == r.Codename ||
		r.Codename != "" && s.Suite == r.Codename+"/updates"
	if !named {
		return fmt.Errorf("release of %s: it says suite %q, codename %q: not what was asked for", s, r.Suite, r.Codename)
	}
	if !s.NoExpiry && !r.ValidUntil.IsZero() && now.After(r.ValidUntil) {
		return &ExpiredError{Source: s.String(), Until: r.ValidUntil}
	}
	if r.Date.After(now.Add(24 * time.Hour)) {
		return hint.With(fmt.Errorf("release of %s: it is from the future: %s", s, r.Date.Format(time.DateTime)), "check this machine's clock")
	}
	return nil
}

// name is how pins call the archive's suite: by codename, as "stable" moves.
func (r *release) name(s Source) string {
	suite := s.Suite
	if r.Codename != "" && !strings.HasPrefix(suite, r.Codename) {
		suite = r.Codename
	}
	if s.flat() {
		suite = "."
	}
	return originName(r.Origin) + "/" + strings.ReplaceAll(suite, "/", "-")
}

// originName is an Origin as the first part of an archive's name.
func originName(origin string) string {
	if origin == "" {
		return "unknown"
	}
	return strings.ReplaceAll(origin, "/", "-")
}

// ExpiredError is a Release whose Valid-Until is over: the mirror stands still, or somebody replays
// an old state to keep fixes from us.
type ExpiredError struct {
	Source string
	Until  time.Time
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("release of %s: not valid since %s", e.Source, e.Until.Format(time.DateTime))
}

// Hint is what helps.
func (e *ExpiredError) Hint() string {
	return "use another mirror (this one stands still), check this machine's clock, or, for a dated snapshot, write [check-valid-until=no] in its apt source"
}
