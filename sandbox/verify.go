package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/toolchain"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// Verdict is what verify found.
type Verdict struct {
	Claims  []Claim  `json:"claims"`
	Hashed  int      `json:"hashed"`
	Damaged []string `json:"damaged"`
}

// OK tells whether everything held.
func (v *Verdict) OK() bool {
	for _, c := range v.Claims {
		if !c.Holds {
			return false
		}
	}
	return len(v.Damaged) == 0
}

// Claim is one entry of [toolchain], proved or not.
type Claim struct {
	Tool  string `json:"tool"`
	Want  string `json:"want"`
	Files string `json:"files,omitempty"` // the version that its files show
	At    string `json:"at,omitempty"`    // the file
	Says  string `json:"says,omitempty"`  // the version that it says itself
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"` // of what does not hold
}

// Text is the outcome in words.
func (c Claim) Text() string {
	if !c.Holds {
		return "does not hold: " + c.Why
	}
	found := c.Says
	if found == "" {
		found = c.Files
	}
	if c.At != "" {
		return "holds: " + found + ", " + c.At
	}
	return "holds: " + found
}

// Verify asks every tool of [toolchain] inside the environment for its version and, with objects,
// hashes what is in the store.
func (p *Project) Verify(ctx context.Context, objects bool) (*Verdict, error) {
	f, err := p.File()
	if err != nil {
		return nil, err
	}
	c, err := p.ready(ctx)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Claims: []Claim{}, Damaged: []string{}}
	for _, pr := range p.prove(ctx, c, f.Toolchain) {
		v.Claims = append(v.Claims, Claim{Tool: pr.Tool, Want: pr.Want, Files: pr.Files, At: pr.At, Says: pr.Says, Holds: pr.OK, Why: pr.Why})
	}
	if objects {
		err = p.m.verifyStore(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// VerifyStore hashes what is in the store, for whom there is no environment to ask.
func (m *Manager) VerifyStore(ctx context.Context) (*Verdict, error) {
	v := &Verdict{Claims: []Claim{}, Damaged: []string{}}
	if err := m.verifyStore(ctx, v); err != nil {
		return nil, err
	}
	return v, nil
}

func (m *Manager) verifyStore(ctx context.Context, v *Verdict) error {
	st, err := m.Store()
	if err != nil {
		return err
	}
	check := layer.Check(st.TempDir)
	damage, err := st.Verify(ctx, store.VerifyOptions{
		Layer:  func(ctx context.Context, l store.Layer) error { v.Hashed++; return check(ctx, l) },
		Wheel:  func(ctx context.Context, dir string) error { v.Hashed++; return wheel.Check(ctx, dir) },
		Remove: true,
		Report: m.o.Report,
	})
	if err != nil {
		return err
	}
	for _, d := range damage {
		text := d.String() + " (removed)"
		if !d.Removed {
			text = d.String() + " (it stays as long as it is in use)"
		}
		v.Damaged = append(v.Damaged, text)
	}
	v.Damaged = append(append(v.Damaged, m.damagedRecords(st)...), lacking(ctx, st)...)
	return nil
}

// lacking are the names of images that cannot be run any more, with what helps.
func lacking(ctx context.Context, st *store.Store) (out []string) {
	records, err := st.Images()
	if err != nil {
		return nil // it was named as damaged
	}
	for _, r := range records {
		parts := 0
		for _, name := range r.Layers {
			if _, ok := st.Layer(ctx, name); !ok {
				parts++
			}
		}
		for _, d := range []store.Digest{r.Manifest, r.Config} {
			if !st.HasBlob(ctx, d, -1) {
				parts++
			}
		}
		switch {
		case parts > 0 && r.Made:
			out = append(out, fmt.Sprintf("image %s lacks %d of its parts (import it again, or commit its sandbox again)", r.Ref, parts))
		case parts > 0:
			out = append(out, fmt.Sprintf("image %s lacks %d of its parts (sandbox pull %s brings them again)", r.Ref, parts, r.Ref))
		}
	}
	return out
}

// damagedRecords are the records of the user's own things that cannot be read. They stay: nothing can make them
// again, and gc removes nothing as long as it does not know what they would keep.
func (m *Manager) damagedRecords(st *store.Store) (out []string) {
	roots, _ := filepath.Glob(filepath.Join(st.Path(store.Roots), "*.json"))
	for _, file := range roots {
		if _, err := readRoot(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			out = append(out, fmt.Sprintf("record of a project %s: %v (remove the file, then use its project once)", file, err))
		}
	}
	names, _ := os.ReadDir(m.l.Sandboxes())
	for _, e := range names {
		in := &launch.Instance{Dir: filepath.Join(m.l.Sandboxes(), e.Name()), Name: e.Name()}
		if _, err := in.State(); err != nil {
			out = append(out, fmt.Sprintf("%v (sandbox rm %s removes it)", err, e.Name()))
		}
	}
	return out
}

// prove asks the tools inside, and compares what they say and what their files show.
func (p *Project) prove(ctx context.Context, c *launch.Compiled, claims map[string]string) []toolchain.Proof {
	said := map[string]string{}
	for name := range claims {
		tool, _ := toolchain.Lookup(name)
		for _, probe := range tool.Probes {
			out, err := p.output(ctx, c, probe.Args)
			if err != nil {
				p.m.o.Log.Debug("probe", "tool", name, "args", probe.Args, "err", err)
				continue
			}
			if said[name] = probe.Read(out); said[name] != "" {
				break
			}
		}
	}
	var dirs []string
	for _, l := range c.Env.Lowers {
		dirs = append(dirs, l.Path)
	}
	return toolchain.Prove(claims, build.Detect(dirs, c.Env.ImageEnv), said)
}

// output runs a command in a throw-away sandbox and gives what it printed.
func (p *Project) output(ctx context.Context, c *launch.Compiled, args []string) (string, error) {
	var out, errOut bytes.Buffer
	stdout, endOut, err := build.PipeTo(&out)
	if err != nil {
		return "", err
	}
	stderr, endErr, err := build.PipeTo(&errOut)
	if err != nil {
		endOut()
		return "", err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	exit, err := p.l.Launch(ctx, c, RunOptions{Args: args, Stdin: null, Stdout: stdout, Stderr: stderr}, "")
	endOut()
	endErr()
	if err != nil {
		return "", err
	}
	if exit.Status() != 0 {
		return "", fmt.Errorf("%s ended with %d: %s", filepath.Base(args[0]), exit.Status(), strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}
