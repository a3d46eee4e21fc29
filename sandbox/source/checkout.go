package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// incomplete lies in .git while a checkout is being made. No code has run in a folder that has it, but
// it may have been unpacked from anywhere, so what lies beside it is thrown away and not used.
const incomplete = "sandbox-incomplete"

// checkout makes Dir/NAME, or finds it as it should be.
func (c *clone) checkout(ctx context.Context, commit string) (Checkout, error) {
	out := Checkout{Dir: filepath.Join(c.o.Dir, c.repo.Name), Commit: commit}
	fresh, err := c.fresh(out.Dir)
	if err != nil {
		return out, err
	}
	if fresh {
		err = c.make(ctx, out.Dir, commit)
	} else {
		out.Reused = true
		err = c.same(ctx, out.Dir, commit)
	}
	if err != nil {
		return out, err
	}
	out.Notes, err = c.notes(ctx, commit)
	return out, err
}

// fresh reports whether dir has to be made: it is not there, or empty, or a call that was killed left it.
func (c *clone) fresh(dir string) (bool, error) {
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !fi.IsDir() {
		return false, &ChangedError{Dir: dir}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) == 0 {
		return err == nil, err
	}
	git := filepath.Join(dir, ".git")
	if inner, err := os.ReadDir(git); err == nil && len(inner) == 0 && len(names) == 1 {
		return true, nil
	}
	_, err = os.Lstat(filepath.Join(git, incomplete))
	return err == nil, nil
}

// make writes the checkout. Its objects are copied by git's transport, never hard-linked or borrowed:
// code that runs in it could change the store's clone through a link.
func (c *clone) make(ctx context.Context, dir, commit string) (err error) {
	_, errBefore := os.Lstat(dir)
	defer func() {
		if err != nil && errors.Is(errBefore, fs.ErrNotExist) {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := begin(filepath.Join(dir, ".git")); err != nil {
		return err
	}
	c.o.Report.Do("checkout", c.repo.Name, 0, -1)
	steps := [][]string{
		{"init", "--quiet", "--template="},
		{"config", "remote.origin.url", c.repo.URL},
		{"config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"},
		{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", c.bare,
			"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", commit},
		{"checkout", "--quiet", "--force", "--detach", commit, "--"},
	}
	for _, args := range steps {
		if _, err := c.git(ctx, call{dir: dir, args: args, env: []string{"GIT_DIR=" + filepath.Join(dir, ".git"), "GIT_WORK_TREE=" + dir}}); err != nil {
			return fmt.Errorf("check out %s to %s: %w", short(commit), dir, err)
		}
	}
	c.o.Report.Do("checkout", c.repo.Name, 1, 1)
	return os.Remove(filepath.Join(dir, ".git", incomplete))
}

// begin makes the folder git with the mark in it, and nothing else.
func begin(git string) error {
	if err := os.MkdirAll(git, 0o777); err != nil {
		return err
	}
	mark := filepath.Join(git, incomplete)
	if err := os.WriteFile(mark, nil, 0o666); err != nil {
		return err
	}
	names, err := os.ReadDir(git)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.Name() != incomplete {
			if err := os.RemoveAll(filepath.Join(git, n.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// same returns nil if every tracked file in dir is what commit says. git reads the store's clone and
// an index of its own, so nothing in dir/.git is believed or executed.
func (c *clone) same(ctx context.Context, dir, commit string) error {
	changed, err := c.changed(ctx, dir, commit)
	if err != nil || len(changed) == 0 {
		return err
	}
	e := &ChangedError{Dir: dir, Commit: commit, Files: changed}
	e.At, e.Ours = headOf(filepath.Join(dir, ".git"))
	if e.At == commit {
		e.At = ""
	}
	if e.At != "" {
		if known, _ := c.revParse(ctx, e.At); known != "" {
			if e.Files, err = c.changed(ctx, dir, e.At); err != nil {
				return err
			}
		}
	}
	return e
}

// changed lists the tracked files of commit that dir has otherwise, or not at all.
func (c *clone) changed(ctx context.Context, dir, commit string) ([]string, error) {
	tmp, err := os.MkdirTemp(filepath.Dir(c.bare), ".index-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	g := func(args ...string) (string, error) {
		return c.git(ctx, call{dir: dir, env: []string{"GIT_DIR=" + c.bare, "GIT_WORK_TREE=" + dir, "GIT_INDEX_FILE=" + filepath.Join(tmp, "index")},
			args: append([]string{"-c", "core.bare=false"}, args...)})
	}
	if _, err := g("read-tree", commit); err != nil {
		return nil, err
	}
	// Fills the index with the file times of dir, hashing every file; its exit status only says that some differ.
	if _, err := g("update-index", "-q", "--refresh"); err != nil && !errors.As(err, new(*gitError)) {
		return nil, err
	}
	// A submodule that the user has checked out is none of our business.
	out, err := g("diff-files", "--name-only", "-z", "--ignore-submodules=all", "--no-ext-diff")
	if err != nil {
		return nil, err
	}
	var files []string
	for f := range strings.SplitSeq(out, "\x00") {
		if f != "" && !slices.Contains(c.o.Ignore, f) {
			files = append(files, f)
		}
	}
	return files, nil
}

// headOf reads what a checkout says it is at, by hand and bounded: ok says that it is a checkout at
// all, and at is "" where it is not plainly written.
func headOf(git string) (at string, ok bool) {
	read := func(name string) string {
		f, err := os.OpenFile(filepath.Join(git, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return ""
		}
		defer f.Close()
		if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
			return ""
		}
		b, _ := io.ReadAll(io.LimitReader(f, 1024))
		return strings.TrimSpace(string(b))
	}
	head := read("HEAD")
	if head == "" {
		return "", false
	}
	if ref, isRef := strings.CutPrefix(head, "ref: refs/heads/"); isRef && filepath.IsLocal(ref) {
		head = read(filepath.Join("refs/heads", ref))
	}
	if len(head) >= 40 && hexForm.MatchString(head) {
		return head, true
	}
	return "", true
}

// notes says what of the repository was left out.
func (c *clone) notes(ctx context.Context, commit string) ([]string, error) {
	var notes []string
	out, err := c.inBare(ctx, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	var subs []string
	attrs := false
	for line := range strings.SplitSeq(out, "\x00") {
		meta, name, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(meta, "160000 ") {
			subs = append(subs, name)
		}
		attrs = attrs || filepath.Base(name) == ".gitattributes"
	}
	if len(subs) > 0 {
		notes = append(notes, "submodules are not fetched: "+some(subs, 5))
	}
	if attrs {
		if _, err := c.inBare(ctx, "grep", "-q", "-e", "filter=lfs", commit, "--", ":(glob)**/.gitattributes"); err == nil {
			notes = append(notes, "files kept by git lfs are not fetched, only their pointers")
		}
	}
	return notes, nil
}
