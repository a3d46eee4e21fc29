package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/out"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// addCode adds the tracked files of the project at a git revision as the last layer. What is not
// committed does not leave.
func (g *Outgoing) addCode(ctx context.Context, p *Project, rev, at string, epoch int64) error {
	if at == "same" {
		return hint.With(errors.New("[project] at = \"same\" is a path of this machine, so the code has no place in an image"), `[project] at = "/workspace"`)
	}
	if at == "" {
		at = "/workspace"
	}
	root, err := p.Root()
	if err != nil {
		return err
	}
	repo := gitAt{root}
	commit, err := repo.commit(ctx, rev)
	if err != nil {
		return err
	}
	st, err := p.m.Store()
	if err != nil {
		return err
	}
	dir, cleanup, err := st.TempDir("code")
	if err != nil {
		return err
	}
	g.cleanup = append(g.cleanup, cleanup)
	fs := filepath.Join(dir, "fs")
	if err := makeTop(fs, at); err != nil {
		return err
	}
	left, err := repo.checkout(ctx, commit, filepath.Join(fs, at))
	if err != nil {
		return fmt.Errorf("the code at %s: %w", commit, err)
	}
	if len(left) > 0 {
		g.m.notice("submodules are not in the image: %s", strings.Join(left, ", "))
	}
	g.Image.Layers = append(g.Image.Layers, out.Layer{
		Layer: images.Layer{Size: -1}, Tree: fs, What: "code at " + commit[:12], Pack: &layer.PackOptions{Epoch: epoch, NoHardlinks: true},
	})
	rel, err := filepath.Rel(root, p.Dir)
	if err != nil {
		return err
	}
	g.Image.Config.WorkingDir = path.Join(at, filepath.ToSlash(rel))
	g.Image.Config.Labels[labelCommit] = commit
	return nil
}

// makeTop makes the folders down to the project's, 0755 whatever the caller's umask is.
func makeTop(fs, at string) error {
	at = path.Clean("/" + at)
	dirs := []string{fs}
	for d := at; d != "/"; d = path.Dir(d) {
		dirs = slices.Insert(dirs, 1, filepath.Join(fs, d))
	}
	for _, d := range dirs {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// gitAt is the repository that a folder lies in. Nothing of its configuration is executed.
type gitAt struct{ dir string }

func (g gitAt) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Dir = g.dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return cmd
}

func (g gitAt) output(ctx context.Context, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := g.command(ctx, args...)
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n")
		return nil, fmt.Errorf("git %s: %s: %w", args[0], strings.TrimPrefix(line, "fatal: "), err)
	}
	return b, nil
}

// commit is the full name of the commit that rev means.
func (g gitAt) commit(ctx context.Context, rev string) (string, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return "", errors.New("--with-code needs git")
	}
	b, err := g.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		if _, err := g.output(ctx, "rev-parse", "--git-dir"); err != nil && ctx.Err() == nil {
			return "", hint.With(fmt.Errorf("no git repository in %s or above", g.dir), "--with-code adds what git tracks at a commit")
		}
		return "", hint.With(fmt.Errorf("no commit %s in %s", rev, g.dir), "--with-code adds what git tracks at a commit: commit it first")
	}
	return strings.TrimSpace(string(b)), nil
}

// gitEntry is one line of a tree.
type gitEntry struct{ mode, object, path string }

func (g gitAt) entries(ctx context.Context, commit string) ([]gitEntry, error) {
	b, err := g.output(ctx, "ls-tree", "-r", "-z", commit)
	if err != nil {
		return nil, err
	}
	var list []gitEntry
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		head, name, ok := strings.Cut(line, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 {
			continue
		}
		if !filepath.IsLocal(name) || slices.Contains(strings.Split(strings.ToLower(name), "/"), ".git") {
			return nil, fmt.Errorf("a path that no repository should have: %q", name)
		}
		list = append(list, gitEntry{f[0], f[2], name})
	}
	return list, nil
}

// checkout writes the files of commit below dir as git stores them, without filters. left are submodules.
func (g gitAt) checkout(ctx context.Context, commit, dir string) (left []string, err error) {
	list, err := g.entries(ctx, commit)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	cmd := g.command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	outPipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(outPipe, 256<<10)
	for _, e := range list {
		if e.mode == "160000" {
			left = append(left, e.path)
			continue
		}
		if err = writeEntry(root, e, in, r); err != nil {
			break
		}
	}
	in.Close()
	if err != nil {
		_ = cmd.Process.Kill()
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return left, err
}

// writeEntry asks for one object and writes it.
func writeEntry(root *os.Root, e gitEntry, ask io.Writer, answer *bufio.Reader) error {
	if _, err := io.WriteString(ask, e.object+"\n"); err != nil {
		return err
	}
	line, err := answer.ReadString('\n')
	if err != nil {
		return err
	}
	f := strings.Fields(line)
	if len(f) != 3 || f[1] != "blob" {
		return fmt.Errorf("%s: git has no such file: %s", e.path, strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return err
	}
	if err := makeParents(root, path.Dir(e.path)); err != nil {
		return err
	}
	if e.mode == "120000" {
		b := make([]byte, min(size, 4096))
		if _, err := io.ReadFull(answer, b); err != nil {
			return err
		}
		if err := root.Symlink(string(b), e.path); err != nil {
			return err
		}
		size -= int64(len(b))
		_, err = io.CopyN(io.Discard, answer, size+1)
		return err
	}
	mode := os.FileMode(0o644)
	if e.mode == "100755" {
		mode = 0o755
	}
	w, err := root.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.CopyN(w, answer, size)
	if err = errors.Join(err, w.Chmod(mode), w.Close()); err != nil {
		return err
	}
	_, err = answer.Discard(1)
	return err
}

func makeParents(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if fi, err := root.Lstat(dir); err == nil && fi.IsDir() {
		return nil
	}
	if err := makeParents(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return root.Chmod(dir, 0o755)
}
