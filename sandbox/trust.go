package sandbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// Asks is what the env file asks of the machine, and whether this user has agreed to exactly that.
func (p *Project) Asks() (w envfile.Wants, agreed bool, err error) {
	f, err := p.File()
	if err != nil {
		return nil, false, err
	}
	w = f.Wants()
	agreed, err = p.l.Agreed(w.Digest())
	return w, agreed, err
}

// Trust records the user's consent to exactly what the env file asks now.
func (p *Project) Trust() error {
	f, err := p.File()
	if err != nil {
		return err
	}
	t, err := p.l.Trust()
	if err != nil || t == nil || t.Project != p.Dir {
		t = &launch.Trusted{Project: p.Dir}
	}
	if d := f.Wants().Digest(); !slices.Contains(t.Wants, d) {
		t.Wants = append(t.Wants, d)
	}
	return p.setTrust(*t)
}

// TrustOwn records that this user wrote the project.
func (p *Project) TrustOwn() error { return p.setTrust(launch.Trusted{Project: p.Dir, Own: true}) }

func (p *Project) setTrust(t launch.Trusted) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	file := p.l.TrustFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(file, b, 0o600)
}
