package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/registrytest"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// One user runs a stranger's repository, makes its lock, and publishes that; another user, with nothing of
// hers on the machine, runs what was published and has the same environment.
func TestFromGitByAnotherUser(t *testing.T) {
	if os.Getenv(sharedVar) != "" {
		t.Skip("by the process that can become other users")
	}
	testenv.Need(t, "users", "userns", "overlay", "git", "busybox")
	s := share(t)
	t.Run("tiny", func(t *testing.T) {
		repo := t.TempDir()
		l, err := busyboxLayer()
		if err != nil {
			t.Fatal(err)
		}
		b := registrytest.Blobs{}
		b.Layout(t, filepath.Join(repo, "tiny"), map[string]registrytest.Descriptor{"latest": b.Image(t, registrytest.Image{
			Config: map[string]any{"Env": []string{"PATH=/bin"}}, Layers: []registrytest.Layer{l},
		})})
		const env = "schema = 1\n[image]\nbase = \"oci:tiny\"\n[[step]]\nrun = \"echo made >/made\"\n[task.train]\nrun = \"cat /made\"\n"
		if err := os.WriteFile(filepath.Join(repo, "sandbox.toml"), []byte(env), 0o644); err != nil {
			t.Fatal(err)
		}
		fromGit(t, s, repo, "made\n")
	})
	t.Run("train-digits", func(t *testing.T) {
		if os.Getenv(allVar) == "" {
			t.Skip("takes minutes; with " + allVar + "=1")
		}
		testenv.Need(t, "mirror")
		repo := t.TempDir()
		for _, name := range []string{"sandbox.toml", "train.py"} {
			b, err := os.ReadFile(filepath.Join(s.dir, "examples/train-digits", name))
			if err == nil {
				err = os.WriteFile(filepath.Join(repo, name), b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		fromGit(t, s, repo, "held-out digits read rightly\n")
	})
}

// fromGit serves the files of a folder as a repository, whose task train says what it has done at the end.
func fromGit(t *testing.T, s shared, files, says string) {
	ann := &fromUser{testenv.As(t, testenv.WithoutSubuid), s}
	bob := &fromUser{testenv.As(t, testenv.WithSubuid), s}
	ann.configure(t)
	bob.configure(t)

	repos := testenv.PublicDir(t)
	const publish = `git init -q -b main && git add -A && git commit -q -m first && git clone -q --bare . "$0/repo.git" && git rev-parse HEAD`
	cmd := exec.Command("sh", "-ec", publish, repos)
	cmd.Dir, cmd.Env = files, append(os.Environ(), authors...)
	commit, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := testenv.NewGitServer(repos, testenv.GitOptions{Push: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)

	from := srv.URL + "/repo.git@" + strings.TrimSpace(string(commit))
	if out := ann.run(t, "sandbox run --from "+from+" --lock train"); !strings.HasSuffix(out, says) {
		t.Fatalf("%s said\n%s", ann.Name, out)
	}
	(&cacheUse{dir: s.cache, on: true}).harvest(filepath.Join(ann.Home, ".local/share/sandbox"))
	published := ann.run(t, "cd repo && git checkout -q -B main && git add sandbox.lock && git commit -q -m lock && git push -q origin main && git rev-parse HEAD")

	from = srv.URL + "/repo.git@" + strings.TrimSpace(published)
	if out := bob.run(t, "sandbox run --from "+from+" train"); !strings.HasSuffix(out, says) {
		t.Fatalf("%s said\n%s", bob.Name, out)
	}
	if a, b := ann.digest(t), bob.digest(t); a != b || !strings.HasPrefix(a, "sha256:") {
		t.Errorf("%s has environment %s, %s has %s", ann.Name, a, bob.Name, b)
	}
}

// authors are who commits.
var authors = []string{
	"GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@example.org",
	"GIT_CONFIG_NOSYSTEM=1",
}

// fromUser is a user with an empty home and an empty store.
type fromUser struct {
	*testenv.User
	s shared
}

// configure chains the shared downloads, and nothing else.
func (u *fromUser) configure(t *testing.T) {
	t.Helper()
	if err := writeStores(u.Home, u.s.cache); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(u.Home, ".config")
	u.Own(t, dir, filepath.Join(dir, "sandbox"), filepath.Join(dir, "sandbox/config.toml"))
}

// run runs a shell command in her home and gives what it printed.
func (u *fromUser) run(t *testing.T, script string) string {
	t.Helper()
	cmd := u.Command("sh", "-ec", script)
	cmd.Env = append(append(cmd.Env, authors...), "PATH="+filepath.Join(u.s.dir, "bin")+":"+os.Getenv("PATH"))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("as %s: %s: %v\n%s%s", u.Name, script, err, out, errs.String())
	}
	return string(out)
}

// digest is that of the environment of her checkout.
func (u *fromUser) digest(t *testing.T) string {
	t.Helper()
	var built struct {
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal([]byte(u.run(t, "cd repo && sandbox build --json")), &built); err != nil {
		t.Fatal(err)
	}
	return built.Digest
}
