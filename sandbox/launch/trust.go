package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/internal/xdg"
)

// Trusted is what a user has agreed to for one project folder. It belongs to the user, not to the
// store, which may be shared.
type Trusted struct {
	Project string   `json:"project"`
	Wants   []string `json:"wants"`         // digests of exactly what was shown, one for each set of profiles
	Own     bool     `json:"own,omitempty"` // made by this user with init: whatever it asks
}

// TrustFile is where consent for this project is written.
func (p *Project) TrustFile() string {
	return filepath.Join(xdg.Data(), "sandbox", "trust-v1", Hash(p.Dir)+".json")
}

// ErrConsent says that a project asks for things of the machine that its user has not agreed to.
var ErrConsent = errors.New("this project asks for things of your machine")

// consent refuses a run until the user has agreed to what the env file asks of the machine.
func (p *Project) consent(c *Compiled) error {
	if c.Wants == "" {
		return nil
	}
	if ok, err := p.Agreed(c.Wants); ok || err != nil {
		return err
	}
	if p.Options.Stranger {
		// Each thing is granted on the command line, or not at all.
		return p.granted(c)
	}
	return notAgreed(c.Asks)
}

// Agreed tells whether the user has agreed to exactly these wants.
func (p *Project) Agreed(wants string) (bool, error) {
	t, err := p.Trust()
	return t != nil && t.Project == p.Dir && (t.Own || slices.Contains(t.Wants, wants)), err
}

func notAgreed(asks string) error {
	return hint.With(fmt.Errorf("%w: %s", ErrConsent, asks), "see and allow them with `sandbox trust`")
}

// ConsentToNetwork refuses what would run with a network while the environment is built, before there is
// anything to run, until the user has agreed to wants, which are asks in words.
func (p *Project) ConsentToNetwork(wants, asks string) error {
	ok, err := p.Agreed(wants)
	switch {
	case ok || err != nil:
		return err
	case !p.Options.Stranger:
		return notAgreed(asks)
	case p.Options.Network == "host":
		return nil
	}
	return hint.With(fmt.Errorf("%w: %s", ErrConsent, asks), "grant it with --network host")
}

// granted checks that every required need of a stranger's code was given on the command line.
func (p *Project) granted(c *Compiled) error {
	var missing []string
	for name, m := range c.Env.Mounts {
		if m.Kind == "host" && !m.Optional && p.Options.Bind[name] == "" {
			missing = append(missing, "--mount "+name+"=PATH")
		}
	}
	c.Env.Pass = nil
	for name, t := range c.Tasks {
		if t.Task.Env != nil {
			e := *t.Task.Env
			e.Pass, t.Task.Env = nil, &e
			c.Tasks[name] = t
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return hint.With(fmt.Errorf("%w: %s", ErrConsent, c.Asks), "grant it with "+strings.Join(missing, " "))
}

// Trust reads what the user has agreed to; nil for nothing.
func (p *Project) Trust() (*Trusted, error) {
	b, err := smallfile.ReadOwn(p.TrustFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := new(Trusted)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%s: %w", p.TrustFile(), err)
	}
	return t, nil
}
