package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/xdg"
)

// trusted is what a user has agreed to for one project folder. It belongs to the user, not to the
// store, which may be shared.
type trusted struct {
	Project string   `json:"project"`
	Wants   []string `json:"wants"`         // digests of exactly what was shown, one for each set of profiles
	Own     bool     `json:"own,omitempty"` // made by this user with init: whatever it asks
}

func (p *Project) trustFile() string {
	sum := sha256.Sum256([]byte(p.Dir))
	return filepath.Join(xdg.Data(), "sandbox", "trust-v1", hex.EncodeToString(sum[:])+".json")
}

// ErrConsent says that a project asks for things of the machine that its user has not agreed to.
var ErrConsent = errors.New("this project asks for things of your machine")

// consent refuses a run until the user has agreed to what the env file asks of the machine.
func (p *Project) consent(c *compiled) error {
	if c.Wants == "" {
		return nil
	}
	t, err := p.trust()
	if err != nil {
		return err
	}
	if t != nil && t.Project == p.Dir && (t.Own || slices.Contains(t.Wants, c.Wants)) {
		return nil
	}
	if p.o.Stranger {
		// Each thing is granted on the command line, or not at all.
		return p.granted(c)
	}
	return hint.With(fmt.Errorf("%w: %s", ErrConsent, c.Asks), "see and allow them with `sandbox trust`")
}

// granted checks that every required need of a stranger's code was given on the command line.
func (p *Project) granted(c *compiled) error {
	var missing []string
	for name, m := range c.Env.Mounts {
		if m.Kind == "host" && !m.Optional && p.o.Bind[name] == "" {
			missing = append(missing, "--mount "+name+"=PATH")
		}
	}
	c.Env.Pass = nil
	if len(missing) == 0 {
		return nil
	}
	return hint.With(fmt.Errorf("%w: %s", ErrConsent, c.Asks), "grant it with "+strings.Join(missing, " "))
}

func (p *Project) trust() (*trusted, error) {
	b, err := os.ReadFile(p.trustFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := new(trusted)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%s: %w", p.trustFile(), err)
	}
	return t, nil
}

// Asks is what the env file asks of the machine, in words, one per line; empty for nothing.
func (p *Project) Asks() (string, error) {
	f, err := p.File()
	if err != nil {
		return "", err
	}
	w := f.Wants()
	if w.Empty() {
		return "", nil
	}
	return w.String(), nil
}

// Trust records the user's consent to exactly what the env file asks now.
func (p *Project) Trust() error {
	f, err := p.File()
	if err != nil {
		return err
	}
	t, err := p.trust()
	if err != nil || t == nil || t.Project != p.Dir {
		t = &trusted{Project: p.Dir}
	}
	if d := f.Wants().Digest(); !slices.Contains(t.Wants, d) {
		t.Wants = append(t.Wants, d)
	}
	return p.setTrust(*t)
}

// TrustOwn records that this user wrote the project.
func (p *Project) TrustOwn() error { return p.setTrust(trusted{Project: p.Dir, Own: true}) }

func (p *Project) setTrust(t trusted) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	file := p.trustFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(file, b, 0o600)
}
