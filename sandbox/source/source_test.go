package source

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// fixture is a bare repository, the work tree it is pushed from, and an http server over it.
type fixture struct {
	t    *testing.T
	work string
	bare string
	url  string
}

func newFixture(t *testing.T, o testenv.GitOptions) *fixture {
	testenv.Need(t, "git")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	root := t.TempDir()
	f := &fixture{t: t, work: t.TempDir(), bare: filepath.Join(root, "repo.git")}
	srv, err := testenv.NewGitServer(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	f.url = srv.URL + "/repo.git"
	f.run("init", "-q", "--bare", "-b", "main", f.bare)
	f.run("init", "-q", "-b", "main", ".")
	f.run("remote", "add", "origin", f.bare)
	f.write("train.py", "print(1)\n")
	f.write("sandbox.toml", "schema = 1\n")
	f.commit("first")
	f.run("tag", "v1.0")
	f.push()
	return f
}

func (f *fixture) run(args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = f.work
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (f *fixture) write(name, content string) {
	f.t.Helper()
	p := filepath.Join(f.work, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) commit(msg string) string {
	f.run("add", "-A")
	f.run("commit", "-q", "-m", msg)
	return f.run("rev-parse", "HEAD")
}

func (f *fixture) push() { f.run("push", "-q", "origin", "HEAD", "--tags") }

// clone clones arg into a folder of its own below dir.
func (f *fixture) clone(store, dir, arg string, change ...func(*Options)) (Checkout, error) {
	f.t.Helper()
	r, err := Parse(arg)
	if err != nil {
		return Checkout{}, err
	}
	o := Options{Dir: dir}
	for _, c := range change {
		c(&o)
	}
	return Clone(f.t.Context(), store, r, o)
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCloneOverHTTPAndFileAndPath(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	first := f.run("rev-parse", "HEAD")
	for _, arg := range []string{f.url, "file://" + f.bare, f.bare, f.url + "@v1.0", f.url + "@main", f.url + "@" + first, f.url + "@" + first[:10]} {
		dir := t.TempDir()
		got, err := f.clone(t.TempDir(), dir, arg)
		if err != nil {
			t.Errorf("%s: %v %q", arg, err, hint.Of(err))
			continue
		}
		if got.Commit != first || got.Dir != filepath.Join(dir, "repo") || got.Reused || read(t, got.Dir, "train.py") != "print(1)\n" {
			t.Errorf("%s: %+v", arg, got)
		}
		if st, err := exec.Command("git", "-C", got.Dir, "status", "--porcelain").Output(); err != nil || len(st) > 0 {
			t.Errorf("%s: %v %s", arg, err, st)
		}
		if _, err := os.Stat(filepath.Join(got.Dir, ".git", incomplete)); err == nil {
			t.Errorf("%s: the mark of an unfinished checkout is still there", arg)
		}
	}
}

func TestATagIsNotFetchedTwiceAndABranchIs(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	store := t.TempDir()
	if _, err := f.clone(store, t.TempDir(), f.url+"@v1.0"); err != nil {
		t.Fatal(err)
	}
	f.write("train.py", "print(2)\n")
	second := f.commit("second")
	f.push()
	if got, err := f.clone(store, t.TempDir(), f.url+"@main"); err != nil || got.Commit != second {
		t.Errorf("main is %+v, %v", got, err)
	}
	if got, err := f.clone(store, t.TempDir(), f.url); err != nil || got.Commit != second {
		t.Errorf("HEAD is %+v, %v", got, err)
	}
	if err := os.Rename(f.bare, f.bare+".gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.clone(store, t.TempDir(), f.url+"@v1.0"); err != nil {
		t.Errorf("a tag that is there was asked for again: %v", err)
	}
	var missing *NotFoundError
	if _, err := f.clone(store, t.TempDir(), f.url+"@main"); !errors.As(err, &missing) {
		t.Errorf("a branch of a repository that is gone: %v", err)
	}
	if _, err := f.clone(store, t.TempDir(), f.url+"@main", func(o *Options) { o.Offline = true }); err != nil {
		t.Errorf("offline: %v", err)
	}
}

func TestACheckoutIsUsedAgainOnlyAsItWas(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	store, dir := t.TempDir(), t.TempDir()
	got, err := f.clone(store, dir, f.url+"@v1.0")
	if err != nil {
		t.Fatal(err)
	}
	again := func() (Checkout, error) { return f.clone(store, dir, f.url+"@v1.0") }
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(got.Dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("weights.bin", "untracked files do not count")
	if c, err := again(); err != nil || !c.Reused {
		t.Fatalf("%+v %v", c, err)
	}
	put("train.py", "print(3)\n")
	var changed *ChangedError
	if _, err := again(); !errors.As(err, &changed) || !slices.Equal(changed.Files, []string{"train.py"}) || len(hint.Of(err)) != 1 {
		t.Fatalf("a changed file: %v", err)
	}
	if read(t, got.Dir, "train.py") != "print(3)\n" {
		t.Fatal("the user's change is lost")
	}
	if _, err := f.clone(store, dir, f.url+"@v1.0", func(o *Options) { o.Ignore = []string{"train.py"} }); err != nil {
		t.Errorf("a file that does not count: %v", err)
	}
	put("train.py", "print(1)\n")
	f.write("train.py", "print(2)\n")
	f.commit("second")
	f.push()
	if _, err := f.clone(store, dir, f.url+"@main"); !errors.As(err, &changed) || changed.At != got.Commit || len(changed.Files) != 0 {
		t.Errorf("another commit: %v", err)
	}
	if err := os.Remove(filepath.Join(got.Dir, "train.py")); err != nil {
		t.Fatal(err)
	}
	if _, err := again(); !errors.As(err, &changed) {
		t.Errorf("a tracked file that is gone: %v", err)
	}
}

func TestNothingOfAnOldCheckoutIsExecuted(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	f.write(".gitattributes", "*.py filter=evil\n")
	f.commit("with a filter")
	f.push()
	store, dir := t.TempDir(), t.TempDir()
	got, err := f.clone(store, dir, f.url+"@main")
	if err != nil {
		t.Fatal(err)
	}
	trap := filepath.Join(dir, "executed")
	conf := "\n[core]\n\tfsmonitor = touch " + trap + "\n\thooksPath = " + got.Dir + "\n[filter \"evil\"]\n\tclean = touch " + trap +
		"\n\tsmudge = touch " + trap + "\n[diff]\n\texternal = touch " + trap + "\n"
	c, err := os.OpenFile(filepath.Join(got.Dir, ".git/config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WriteString(conf)
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err = f.clone(store, dir, f.url+"@main"); err != nil || !got.Reused {
		t.Fatalf("%+v %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(got.Dir, "train.py"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err = f.clone(store, dir, f.url+"@main"); err == nil {
		t.Fatal("a change was not seen")
	}
	if _, err := os.Stat(trap); err == nil {
		t.Fatal("a command of the checkout's configuration was executed on the host")
	}
}

func TestAKilledCheckoutIsCompleted(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	store, dir := t.TempDir(), t.TempDir()
	git := filepath.Join(dir, "repo", ".git")
	if err := os.MkdirAll(git, 0o755); err != nil {
		t.Fatal(err)
	}
	// Half a file, a lock of a git that is gone, and a configuration of who knows whom.
	for name, content := range map[string]string{
		git + "/" + incomplete: "", git + "/index.lock": "", git + "/config": "[core]\n\tfsmonitor = false; touch " + dir + "/executed\n",
		filepath.Join(dir, "repo", "train.py"): "pri",
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.clone(store, dir, f.url)
	if err != nil || got.Reused || read(t, got.Dir, "train.py") != "print(1)\n" {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := os.Stat(dir + "/executed"); err == nil {
		t.Error("a configuration that was lying there was used")
	}
}

func TestSomethingElseInTheWay(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	var changed *ChangedError
	for name, make := range map[string]func(string) error{
		"folder": func(p string) error {
			return errors.Join(os.Mkdir(p, 0o755), os.WriteFile(p+"/thesis.tex", []byte("precious"), 0o644))
		},
		"file": func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
		"link": func(p string) error { return os.Symlink("/", p) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, "repo")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.clone(t.TempDir(), dir, f.url); !errors.As(err, &changed) || changed.Ours {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *URLError
	if _, err := f.clone(t.TempDir(), filepath.Dir(f.work), f.work); !errors.As(err, &refused) {
		t.Errorf("a checkout onto the repository itself: %v", err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	f.run("tag", "v1.1")
	f.push()
	var rev *RevError
	_, err := f.clone(t.TempDir(), t.TempDir(), f.url+"@v1.2")
	if !errors.As(err, &rev) || !slices.Contains(rev.Near, "v1.1") || err.Error() != "the repository "+f.url+" has no tag, branch or commit v1.2" {
		t.Errorf("no such tag: %v, near %v", err, rev)
	}
	if _, err := f.clone(t.TempDir(), t.TempDir(), f.url+"@"+strings.Repeat("0", 39)+"1"); !errors.As(err, &rev) {
		t.Errorf("no such commit: %v", err)
	}
	var missing *NotFoundError
	for _, arg := range []string{strings.Replace(f.url, "repo", "other", 1), "file:///no/such/repository", "./nothing", t.TempDir()} {
		if _, err := f.clone(t.TempDir(), t.TempDir(), arg); !errors.As(err, &missing) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.git")
	f.run("init", "-q", "--bare", empty)
	if _, err := f.clone(t.TempDir(), t.TempDir(), empty); !errors.As(err, &rev) {
		t.Errorf("an empty repository: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := f.clone(t.TempDir(), t.TempDir(), f.url); !errors.Is(err, ErrNoGit) {
		t.Errorf("no git: %v", err)
	}
}

func TestCredentialsComeFromTheUsersHelper(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{User: "ann", Password: "secret"})
	var auth *AuthError
	if _, err := f.clone(t.TempDir(), t.TempDir(), f.url); !errors.As(err, &auth) {
		t.Fatalf("nobody asked for a name: %v", err)
	}
	conf := "[credential]\n\thelper = \"!f() { echo username=ann; echo password=secret; }; f\"\n"
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".gitconfig"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.clone(t.TempDir(), t.TempDir(), f.url); err != nil {
		t.Fatal(err)
	}
}

func TestSubmodulesAndLFSAreSaid(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	f.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
	f.run("submodule", "--quiet", "add", "--", f.bare, "vendor/lib")
	f.commit("more")
	f.push()
	got, err := f.clone(t.TempDir(), t.TempDir(), f.url)
	if err != nil || len(got.Notes) != 2 || got.Notes[0] != "submodules are not fetched: vendor/lib" {
		t.Fatalf("%+v %v", got, err)
	}
	if names, err := os.ReadDir(filepath.Join(got.Dir, "vendor/lib")); err != nil || len(names) > 0 {
		t.Errorf("the submodule: %v %v", names, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	store, dir := t.TempDir(), t.TempDir()
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := f.clone(store, dir, f.url+"@main")
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCloneOverSSH(t *testing.T) {
	f := newFixture(t, testenv.GitOptions{})
	// Stands in for ssh: it says how it was called and runs the command here.
	bin := t.TempDir()
	script := "#!/bin/sh\necho \"$*\" >" + bin + "/called\nfor last; do :; done\nexec sh -c \"$last\"\n"
	if err := os.WriteFile(bin+"/ssh", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if _, err := f.clone(t.TempDir(), t.TempDir(), "git@host:"+f.bare+"@v1.0"); err != nil {
		t.Fatal(err, hint.Of(err))
	}
	if args := read(t, bin, "called"); !strings.Contains(args, "BatchMode=yes") || !strings.Contains(args, "git@host") {
		t.Errorf("ssh %s", args)
	}
	if err := os.WriteFile(bin+"/ssh", []byte("#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2\nexit 255\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var auth *AuthError
	if _, err := f.clone(t.TempDir(), t.TempDir(), "git@host:a/b"); !errors.As(err, &auth) {
		t.Error(err)
	}
}
