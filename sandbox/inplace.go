package sandbox

import (
	"cmp"
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
// network is "host", also as "", or "none".
func (m *Manager) RunInPlace(ctx context.Context, ref, network string, o RunOptions) (start.Exit, error) {
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
	return m.runInPlace(ctx, dir, cmp.Or(network, "host"), in, o)
}

func (m *Manager) runInPlace(ctx context.Context, dir, network string, in *launch.Instance, o RunOptions) (start.Exit, error) {
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
		Env:  plan.Env{Name: "in-place", Network: network, User: u, Lowers: []spec.Lower{{Path: dir, Why: "read in place"}}},
		Host: m.l.Host(), Args: o.Args, Extra: plan.Extra{Env: o.Env, Mounts: o.Mounts},
		Sandbox: plan.Sandbox{Root: root, Bound: bound, Tmp: filepath.Join(in.Dir, "tmp")},
	}
	choice, err := m.l.WithGPU(ctx, launch.GPUWant{Options: o.GPU, Digest: "in-place", Lease: true}, &inputs)
	if err != nil {
		return start.Exit{}, err
	}
	defer choice.Release()
	lower := ""
	if inputs.GPU != nil {
		lower = inputs.GPU.Lower
	}
	etc, err := etcOf(dir, root, lower)
	if err != nil {
		return start.Exit{}, err
	}
	inputs.Sandbox.Bound = append(inputs.Sandbox.Bound, etc...)
	if lower != "" {
		if err := copyTree(lower, root); err != nil {
			return start.Exit{}, err
		}
	}
	s, err := plan.Plan(inputs)
	if err != nil {
		return start.Exit{}, err
	}
	s.Ops = slices.DeleteFunc(s.Ops, func(op spec.Op) bool { return m.nowhere(dir, op) })
	plan.MakePoints(s, inputs.Sandbox.Tmp, launch.IsFile)
	for _, stub := range plan.Stubs(s, launch.IsFile) {
		if _, err := os.Lstat(filepath.Join(root, stub.Path)); err == nil {
			continue // of the skeleton
		}
		if err := makeStub(root, stub, stack); err != nil && !errors.Is(err, os.ErrExist) {
			return start.Exit{}, err
		}
	}
	o.Limits = m.user.Limits
	return m.l.Start(ctx, s, o)
}

// nowhere tells whether an operation that may be left out has no place: nothing can be made in what is bound.
func (m *Manager) nowhere(dir string, op spec.Op) bool {
	top := strings.SplitN(op.Target, "/", 3)
	if op.Kind != spec.Bind || !op.Optional || len(top) < 3 || slices.Contains(ownFolders, top[1]) || top[1] == "etc" {
		return false
	}
	if _, err := os.Stat(filepath.Join(dir, op.Target)); err == nil {
		return false
	}
	m.o.Log.Info("left out in place", "target", op.Target, "why", op.Why)
	return true
}

// ownFolders are those that a sandbox fills itself.
var ownFolders = []string{"proc", "sys", "dev", "run", "tmp"}

// skeleton makes root with a folder, link or empty file for each entry of dir but /etc, and says what is
// bound onto which.
func skeleton(dir, root string) ([]spec.Op, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	for _, d := range ownFolders {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			return nil, err
		}
	}
	return bindEntries(dir, root, "/", append([]string{"lost+found", "etc"}, ownFolders...))
}

// etcOf makes /etc, taken apart so that single files of it can be ours: those of the layer lower, "" for
// none, and the names of hosts and of name servers.
func etcOf(dir, root, lower string) ([]spec.Op, error) {
	var out []spec.Op
	var apart func(at string) error
	apart = func(at string) error {
		if st, err := os.Lstat(filepath.Join(dir, at)); err != nil || !st.IsDir() {
			return nil // there is none, and what a layer has makes it
		}
		if err := os.Mkdir(filepath.Join(root, at), 0o755); err != nil {
			return err
		}
		ours, err := namesOf(lower, at)
		if err != nil {
			return err
		}
		if at == "/etc" {
			ours = append(ours, "hosts", "resolv.conf")
		}
		ops, err := bindEntries(dir, root, at, ours)
		out = append(out, ops...)
		for _, name := range ours {
			if err == nil && lower != "" {
				err = apart(filepath.Join(at, name))
			}
		}
		return err
	}
	return out, apart("/etc")
}

// namesOf lists a folder of a layer of ours, which may lack it.
func namesOf(lower, at string) ([]string, error) {
	if lower == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(filepath.Join(lower, at))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, nil
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
