package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/atomicfile"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/smallfile"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// stepRecord says what a project step left behind, beside copies of the files:
//
//	caches-v1/steps/<key>/
//	    files/<path>   the outputs
//	    record.json    their hashes; written last
type stepRecord struct {
	Outputs map[string]string `json:"outputs"` // path in the project -> sha256
}

// projectSteps runs the steps with where = "project" whose outputs are not what their inputs say. The
// outputs of a step that ran before with the same inputs are put back without running it.
func (p *Project) projectSteps(ctx context.Context, c *launch.Compiled, o RunOptions) error {
	for i, s := range c.Steps {
		name := fmt.Sprintf("step %d", i+1)
		key, err := p.stepKey(c, s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		dir := filepath.Join(p.m.StoreDir(), "caches-v1", "steps", key)
		rec, err := readStep(dir)
		if err != nil {
			return err
		}
		if rec != nil {
			if err := rec.restore(dir, c.Root); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		p.m.notice("%s: %s", name, stepText(s))
		if err := p.runStep(ctx, c, s, o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := saveStep(dir, c.Root, s); err != nil && p.m.unwritten(err) {
			p.m.notice("%s: what it made is in the project, but not kept: the store is read-only", name)
		} else if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// unwritten tells whether an error is only that the store cannot be written.
func (m *Manager) unwritten(err error) bool {
	var pe *fs.PathError
	return isReadOnly(err) && errors.As(err, &pe) && launch.Below(m.StoreDir(), pe.Path) != ""
}

func stepText(s envfile.Step) string {
	if s.Run.Shell != "" {
		return strings.SplitN(s.Run.Shell, "\n", 2)[0]
	}
	return strings.Join(s.Run.Args, " ")
}

// stepKey covers the environment, the step's text and the content of its inputs.
func (p *Project) stepKey(c *launch.Compiled, s envfile.Step) (string, error) {
	files, err := build.Expand(c.Root, p.m.StoreDir(), s.Inputs)
	if err != nil {
		return "", err
	}
	sums := map[string]string{}
	for _, f := range files {
		if sums[f], err = build.SumOf(filepath.Join(c.Root, f)); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal([]any{1, p.Dir, c.Env.Digest, s, sums})
	if err != nil {
		return "", err
	}
	return launch.Hash(string(b)), nil
}

func (p *Project) runStep(ctx context.Context, c *launch.Compiled, s envfile.Step, o RunOptions) error {
	sc := *c
	sc.Env.Set = map[string]string{}
	for k, v := range c.Env.Set {
		sc.Env.Set[k] = v
	}
	for k, v := range s.Env {
		sc.Env.Set[k] = v
	}
	if !s.Network {
		sc.Env.Network = "none"
	}
	o.Args = s.Run.Argv("step", nil)
	o.Name, o.Shell, o.Dir = "", false, ""
	o.Stdout = o.Stderr // a step's words are not the program's data
	exit, err := p.l.Launch(ctx, &sc, o, s.Workdir)
	if err != nil {
		return err
	}
	if st := exit.Status(); st != 0 {
		return hint.With(fmt.Errorf("%s exited with code %d", stepText(s), st), "the step's own words are above")
	}
	return nil
}

func readStep(dir string) (*stepRecord, error) {
	b, err := smallfile.ReadOwn(filepath.Join(dir, "record.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(stepRecord)
	return r, json.Unmarshal(b, r)
}

// restore puts back every output that is not there as it was.
func (r *stepRecord) restore(dir, root string) error {
	for name, want := range r.Outputs {
		dst := filepath.Join(root, name)
		if got, err := build.SumOf(dst); err == nil && got == want {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		tmp := dst + ".sandbox-tmp"
		os.Remove(tmp)
		if err := build.CopyFile(filepath.Join(dir, "files", name), tmp); err != nil {
			return err
		}
		if err := os.Rename(tmp, dst); err != nil {
			return err
		}
	}
	return nil
}

// saveStep keeps copies of a step's outputs. A pattern without a file is an error: the step did not
// do what the env file says of it.
func saveStep(dir, root string, s envfile.Step) error {
	files, err := build.Expand(root, "", s.Outputs)
	if err != nil {
		return err
	}
	if err := removeAll(dir); err != nil {
		return err
	}
	r := stepRecord{Outputs: map[string]string{}}
	for _, f := range files {
		dst := filepath.Join(dir, "files", f)
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			return err
		}
		if err := build.CopyFile(filepath.Join(root, f), dst); err != nil {
			return err
		}
		if r.Outputs[f], err = build.SumOf(dst); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "record.json"), b, 0o600)
}
