package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/build"
	"github.com/4cc2e759/sandbox/sandbox/launch"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// RunInPlace runs a command in a folder that holds a root file system, or in the host's own, read where
// it lies and only read: nothing is copied, and nothing of it can be locked or exported. It is for
// machines without a network, to prove that GPUs work.
//
// An overlay over "/" is refused by the kernel where something is mounted below it, so the root is a
// folder of ours in which each entry of the other is bound.
func (m *Manager) RunInPlace(ctx context.Context, ref string, o RunOptions) (start.Exit, error) {
	dir, ok := strings.CutPrefix(ref, "dir:")
	if !ok {
		return start.Exit{}, hint.With(fmt.Errorf("--in-place reads a folder, not %s", ref), "sandbox run --image dir:/ --in-place COMMAND")
	}
	if o.Name != "" {
		return start.Exit{}, errors.New("what runs in place cannot be kept: --name and --in-place exclude each other")
	}
	if len(o.Args) == 0 {
		return start.Exit{}, errors.New("--in-place needs a command")
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return start.Exit{}, err
	}
	in, err := m.l.New()
	if err != nil {
		return start.Exit{}, err
	}
	defer in.Remove()
	return m.runInPlace(ctx, dir, in, o)
}

func (m *Manager) runInPlace(ctx context.Context, dir string, in *launch.Instance, o RunOptions) (start.Exit, error) {
	root := filepath.Join(in.Dir, "root")
	bound, err := skeleton(dir, root)
	if err != nil {
		return start.Exit{}, err
	}
	stack := layer.NewStack([]string{dir})
	defer stack.Close()
	u, err := resolveUser("root", "", whoami(), stack)
	if err != nil {
		return start.Exit{}, err
	}
	inputs := plan.Inputs{
		Env:  plan.Env{Name: "in-place", Network: "host", User: u, Lowers: []spec.Lower{{Path: dir, Why: "read in place"}}},
		Host: m.l.Host(), Args: o.Args, Extra: plan.Extra{Env: o.Env, Mounts: o.Mounts},
		Sandbox: plan.Sandbox{Root: root, Bound: bound, Tmp: filepath.Join(in.Dir, "tmp")},
	}
	release, err := m.l.WithGPU(ctx, launch.GPUWant{Options: o.GPU, Digest: "in-place", Lease: true}, &inputs)
	if err != nil {
		return start.Exit{}, err
	}
	defer release()
	if inputs.GPU != nil && inputs.GPU.Lower != "" {
		if err := copyTree(inputs.GPU.Lower, root); err != nil {
			return start.Exit{}, err
		}
	}
	s, err := plan.Plan(inputs)
	if err != nil {
		return start.Exit{}, err
	}
	plan.MakePoints(s, inputs.Sandbox.Tmp, launch.IsFile)
	for _, stub := range plan.Stubs(s, launch.IsFile) {
		if err := makeStub(root, stub, stack); err != nil && !errors.Is(err, os.ErrExist) {
			return start.Exit{}, err
		}
	}
	return m.l.Start(ctx, s, o)
}

// skeleton makes root with a folder, link or empty file for each entry of dir, and says what is bound
// onto which. /etc is taken apart, so that single files of it can be ours.
func skeleton(dir, root string) ([]spec.Op, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	for _, d := range []string{"proc", "sys", "dev", "run", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			return nil, err
		}
	}
	out, err := bindEntries(dir, root, "/", []string{"proc", "sys", "dev", "run", "tmp", "lost+found", "etc"})
	if err != nil {
		return nil, err
	}
	if st, err := os.Lstat(filepath.Join(dir, "etc")); err != nil || !st.IsDir() {
		return out, nil
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		return nil, err
	}
	etc, err := bindEntries(dir, root, "/etc", []string{"hosts", "resolv.conf", "ld.so.cache", "ld.so.conf.d"})
	return append(out, etc...), err
}

func bindEntries(dir, root, at string, not []string) ([]spec.Op, error) {
	entries, err := os.ReadDir(filepath.Join(dir, at))
	if err != nil {
		return nil, err
	}
	var out []spec.Op
	for _, e := range entries {
		if slices.Contains(not, e.Name()) {
			continue
		}
		p := filepath.Join(at, e.Name())
		to := filepath.Join(root, p)
		switch {
		case e.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(filepath.Join(dir, p))
			if err == nil {
				err = os.Symlink(target, to)
			}
			if err != nil {
				return nil, err
			}
			continue
		case e.IsDir():
			err = os.Mkdir(to, 0o755)
		case e.Type().IsRegular():
			err = os.WriteFile(to, nil, 0o644)
		default: // sockets and devices are not for a sandbox
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, spec.Op{Kind: spec.Bind, Source: filepath.Join(dir, p), Target: p, Flags: []string{"ro", "nosuid", "nodev"}, Optional: true, Why: "read in place"})
	}
	return out, nil
}

// copyTree copies the few files of a layer of ours.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if err := os.Remove(filepath.Join(to, rel)); err != nil && !os.IsNotExist(err) {
			return err
		}
		if target, err := os.Readlink(p); err == nil {
			return os.Symlink(target, filepath.Join(to, rel))
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("not a regular file: %s", p)
		}
		return build.CopyFile(p, filepath.Join(to, rel))
	})
}
