package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
)

// addSteps makes one layer per image step. A step sees a copy of its inputs at the project's path;
// what it writes there is thrown away, everything else is the layer.
func (b *Builder) addSteps(ctx context.Context, env *Env, sec *envfile.Section, epoch int64) error {
	for i, s := range sec.Steps {
		why := fmt.Sprintf("step %d: %s", i+1, firstLine(s.Run))
		if len(s.Args) > 0 {
			why = fmt.Sprintf("step %d: %s", i+1, strings.Join(s.Args, " "))
		}
		name, err := key("step", env.names(), s, sec.Config.ProjectAt, epoch)
		if err != nil {
			return err
		}
		if _, there := b.Store.Layer(ctx, name); !there && s.Network && b.Consent != nil {
			if err := b.Consent(); err != nil {
				return err
			}
		}
		err = b.make(ctx, env, name, why, func(dir string) error { return b.step(ctx, env, sec, s, epoch, dir) })
		if err != nil {
			return err
		}
	}
	return nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

func (b *Builder) step(ctx context.Context, env *Env, sec *envfile.Section, s envfile.StepPin, epoch int64, dir string) error {
	stubs, err := b.stubsDir(ctx)
	if err != nil {
		return err
	}
	in, cleanup, err := b.Store.TempDir("step-")
	if err != nil {
		return err
	}
	defer cleanup()
	if err := copyInputs(b.Dir, s.Inputs, in); err != nil {
		return err
	}
	at := sec.Config.ProjectAt
	if at == "" || at == "same" {
		at = "/workspace"
	}
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	box := Box{
		Lowers: env.dirs(), Upper: filepath.Join(dir, "fs"), Work: work, Stubs: stubs, Owners: true,
		Network: s.Network, Log: b.Log, Dir: path.Join(at, s.Workdir),
		Binds: []BoxBind{{Source: in, Target: at, Write: true}},
		Env:   stepEnv(env, s, epoch),
	}
	args := s.Args
	if s.Run != "" {
		args = []string{"sh", "-e", "-c", s.Run}
	}
	if err := box.Run(ctx, args...); err != nil {
		return err
	}
	if err := store.RemoveAll(work); err != nil {
		return err
	}
	owners, err := newOwners(box.Upper, env.OwnerDirs())
	if err != nil {
		return err
	}
	if err := tidyUpper(box.Upper); err != nil {
		return err
	}
	return writeOwners(dir, owners)
}

// stepEnv is the image's environment, then the step's.
func stepEnv(env *Env, s envfile.StepPin, epoch int64) []string {
	vars := slices.Clone(env.Image.Env)
	if env.PythonEnv {
		vars = append(vars, "PATH=/opt/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "VIRTUAL_ENV=/opt/env")
	}
	vars = append(vars, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "PYTHONDONTWRITEBYTECODE=1")
	for k, v := range s.Env {
		vars = append(vars, k+"="+v)
	}
	return lastWins(vars)
}

// lastWins keeps the last value of each name, sorted.
func lastWins(vars []string) []string {
	m := map[string]string{}
	for _, kv := range vars {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	out := make([]string, 0, len(m))
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// tidyUpper removes what differs from run to run, and overlay's own marks.
func tidyUpper(fs string) error {
	if err := removeBytecode(fs); err != nil {
		return err
	}
	return layer.CleanUpper(fs)
}

// lockSteps pins the image steps with the content of their inputs.
func (b *Builder) lockSteps() ([]envfile.StepPin, error) {
	var out []envfile.StepPin
	for _, s := range b.File.Steps {
		if s.Where == "project" {
			continue
		}
		files, err := Expand(b.Dir, b.Store.Dir(), s.Inputs)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", firstLine(s.Run.Shell), err)
		}
		pin := envfile.StepPin{Run: s.Run.Shell, Args: s.Run.Args, Workdir: s.Workdir, Env: s.Env, Network: s.Network, Inputs: map[string]string{}}
		for _, f := range files {
			if pin.Inputs[f], err = SumOf(filepath.Join(b.Dir, f)); err != nil {
				return nil, err
			}
		}
		out = append(out, pin)
	}
	return out, nil
}

// copyInputs copies pinned files and refuses one that is not what the lock says.
func copyInputs(dir string, files map[string]string, to string) error {
	for name, want := range files {
		src := filepath.Join(dir, name)
		got, err := SumOf(src)
		if err != nil {
			return err
		}
		if got != want {
			return &InputChangedError{name}
		}
		dst := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := CopyFile(src, dst); err != nil {
			return err
		}
	}
	return nil
}

// InputChangedError is an input of a step that is not what the lock pins.
type InputChangedError struct{ Name string }

func (e *InputChangedError) Error() string {
	return "input of a step changed since it was locked: " + e.Name
}

// Hint says how to go on.
func (e *InputChangedError) Hint() string { return "sandbox lock" }

// SumOf is the sha256 of a file, as "sha256:…".
func SumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// CopyFile copies content and permission bits to a new file.
func CopyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, st.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
