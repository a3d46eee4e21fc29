package build

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
	"github.com/4cc2e759/sandbox/images/fetch"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

const testEpoch = 1_700_000_000

// debWork is what the helper process, which may be another user, does: a base, and on it a layer.
type debWork struct {
	Store      string // holds the .debs
	Base, More []envfile.DebPin
	Keep       string // copies of the trees are packed here, for comparison; "" = no
}

type debResult struct {
	Base, More layer.Digests
	Notes      []string
}

// TestDebHelper is no test by itself: see runDebWork.
func TestDebHelper(t *testing.T) {
	file := os.Getenv("SANDBOX_TEST_DEB_WORK")
	if file == "" {
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var w debWork
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	res, err := w.do(context.Background(), t)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(res); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("RESULT " + string(b) + "\n")
}

func (w debWork) do(ctx context.Context, t *testing.T) (res debResult, err error) {
	home, err := os.Getwd()
	if err != nil {
		return res, err
	}
	st, err := store.Open(filepath.Join(home, "store"), store.Options{Chain: []string{w.Store}})
	if err != nil {
		return res, err
	}
	find := func(p envfile.DebPin) (string, error) {
		return st.BlobPath(t.Context(), store.Digest("sha256:"+p.SHA256))
	}
	notice := func(s string) { res.Notes = append(res.Notes, s) }
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	base, _, err := st.MakeLayer(ctx, strings.Repeat("a", 64), func(dir string) error {
		return AssembleDebBase(ctx, DebBaseInput{Debs: w.Base, Path: find, Epoch: testEpoch, Dir: dir, Notice: notice, Log: log})
	})
	if err != nil {
		return res, err
	}
	if res.Base, err = w.digest(base, "base"); err != nil || len(w.More) == 0 {
		return res, err
	}
	more, _, err := st.MakeLayer(ctx, strings.Repeat("b", 64), func(dir string) error {
		return InstallDebs(ctx, InstallDebsInput{Lowers: []string{base.FS}, Owners: []string{base.Dir}, Debs: w.More, Path: find, Epoch: testEpoch, Dir: dir, Notice: notice, Log: log})
	})
	if err != nil {
		return res, err
	}
	res.More, err = w.digest(more, "more")
	return res, err
}

func (w debWork) digest(l store.Layer, name string) (layer.Digests, error) {
	owners, err := layer.ReadOwners(l.Dir)
	if err != nil {
		return layer.Digests{}, err
	}
	o := layer.PackOptions{Owners: owners, Epoch: testEpoch}
	if w.Keep != "" {
		f, err := os.Create(filepath.Join(w.Keep, name+".tar"))
		if err != nil {
			return layer.Digests{}, err
		}
		defer f.Close()
		if err := layer.Pack(context.Background(), f, l.FS, o); err != nil {
			return layer.Digests{}, err
		}
	}
	return layer.DiffID(context.Background(), l.FS, o)
}

// runDebWork does w in a process of its own as the named user, "" being this one. odd means: under a
// strict umask and on another file system, whose folders list their entries in another order.
func runDebWork(t *testing.T, user string, odd bool, w debWork) debResult {
	t.Helper()
	u := testenv.As(t, user)
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.PublicDir(t)
	work, bin := filepath.Join(dir, "work.json"), filepath.Join(dir, "build.test")
	if err := os.WriteFile(work, b, 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0]) // the folder of the test's own binary is closed to others
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, self, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"-c", `umask "$1"; shift; cd "$1"; shift; exec "$@"`, "sh", "022", u.Home, bin, "-test.run=^TestDebHelper$", "-test.v"}
	cmd := u.Command("sh", args...)
	if odd {
		args[3] = "077"
		cmd = u.OnTmpfs(u.Home, "6g", "sh", args...)
	}
	cmd.Env = append(cmd.Env, "SANDBOX_TEST_DEB_WORK="+work)
	out, err := cmd.CombinedOutput()
	_, line, found := bytes.Cut(out, []byte("RESULT "))
	if err != nil || !found {
		t.Fatalf("as %s: %v\n%s", u.Name, err, out)
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	var res debResult
	if err := json.Unmarshal(line, &res); err != nil {
		t.Fatal(err)
	}
	return res
}

// lockDebs chooses and fetches the packages of a base, and those that names need beyond it, into a
// store that every user can read.
func lockDebs(t *testing.T, suite string, names ...string) debWork {
	t.Helper()
	testenv.Need(t, "mirror", "userns")
	ctx := context.Background()
	w := debWork{Store: filepath.Join(testenv.PublicDir(t), "store")}
	st, err := store.Open(w.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &deb.Loader{Get: deb.NewGetter(fetch.New(fetch.Options{AllowHTTP: true}), st, nil)}
	host, err := deb.HostSources("/")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := l.Suite(ctx, suite, deb.SuiteOptions{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Indexes(ctx, archives, arch()); err != nil {
		t.Fatal(err)
	}
	base, err := deb.Closure(archives, nil, deb.ClosureOptions{Base: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := deb.Closure(archives, names, deb.ClosureOptions{Base: true})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	var pins []deb.Pin
	for _, p := range base {
		have[p.Name] = true
		pins = append(pins, p.Pin)
		w.Base = append(w.Base, debPinOf(p.Pin, "base"))
	}
	for _, p := range all {
		if !have[p.Name] {
			pins = append(pins, p.Pin)
			w.More = append(w.More, debPinOf(p.Pin, "apt"))
		}
	}
	var sources []deb.Source
	for _, a := range archives {
		sources = append(sources, a.Source)
	}
	if err := l.Fetch(ctx, pins, sources, arch(), 0, nil); err != nil {
		t.Fatal(err)
	}
	open := func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o755)
		}
		if err == nil && d.Type().IsRegular() {
			return os.Chmod(p, 0o644)
		}
		return err
	}
	if err := filepath.WalkDir(w.Store, open); err != nil {
		t.Fatal(err)
	}
	return w
}

// Root and both kinds of ordinary user get the same bytes, of a base and of a layer on it, whatever
// their umask is and on different file systems.
func TestDebsAreTheSameForEverybody(t *testing.T) {
	testenv.Need(t, "root", "users")
	names := "ssl-cert dbus git openssh-server python3-minimal"
	if os.Getenv("SANDBOX_TEST_ALL") != "" {
		names += " hello curl python3 iputils-ping man-db cron sudo nginx postfix systemd mariadb-server build-essential postgresql ca-certificates fontconfig"
	}
	w := lockDebs(t, "bookworm", strings.Fields(names)...)
	first := runDebWork(t, "", false, w)
	for user, odd := range map[string]bool{testenv.WithSubuid: true, testenv.WithoutSubuid: false} {
		if got := runDebWork(t, user, odd, w); got.Base != first.Base || got.More != first.More {
			t.Errorf("as %s: %+v, as root: %+v", user, got, first)
		}
	}
	if n := strings.Join(first.Notes, "\n"); !strings.Contains(n, "ssh-keygen -A") || !strings.Contains(n, "make-ssl-cert") {
		t.Errorf("notes: %q", n)
	}
}
