package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// Bounds against hangs. A pull that is told to end needs some milliseconds.
const (
	untilThere = 60 * time.Second // until a pull is where it is wanted
	untilEnd   = 5 * time.Second  // until it has ended
)

// pullState is a place where a pull can be when a signal arrives.
type pullState struct {
	tag    string               // of the registry
	at     stall                // where the registry stops
	host   func(*puller) string // another server than the registry
	before []string             // what starts the tool
	log    bool                 // it says what it does, else nothing
	begin  func(*puller) func() // another process; what it gives ends that
	lonely bool                 // in a network of its own, in which no name is ever found
	there  func(*puller) bool   // it is where it is wanted
}

func pullStates() map[string]pullState {
	layers := func(p *puller, path string) bool {
		found, _ := filepath.Glob(filepath.Join(p.store, "tmp/layer-*", path))
		return len(found) > 0
	}
	return map[string]pullState{
		"a name":       {tag: "big", lonely: true, host: func(*puller) string { return "registry.example" }, there: func(p *puller) bool { return p.lonelyPID() > 0 }},
		"a connection": {tag: "big", host: fullBacklog, there: (*puller).connecting},
		"an answer":    {tag: "big", at: beforeManifest, there: (*puller).arrived},
		"a layer":      {tag: "big", at: beforeLayer, there: (*puller).arrived},
		"a body":       {tag: "big", at: inLayer, there: (*puller).hasHalf},
		"unpacking":    {tag: "many", there: func(p *puller) bool { return layers(p, "fs/f1000") }},
		"a process": {tag: "big", at: inLayer, log: true, begin: (*puller).first,
			there: func(p *puller) bool { return strings.Contains(p.said(), "waiting for another process") }},
		// strace holds the thread that syncs for 1.5 s, as a slow disk would.
		"syncing": {tag: "big", before: []string{"strace", "-D", "-f", "-q", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:delay_enter=1500000"},
			there: func(p *puller) bool { return layers(p, store.WholeLink) }},
	}
}

// T-33: SIGINT and SIGTERM end a pull wherever it is, with one line and exit code 130. What is in the store then is
// whole, and the same command goes on where that one was.
func TestPullEndsAtSignals(t *testing.T) {
	if prog := os.Getenv(lonelyVar); prog != "" {
		lonely(t, prog)
		return
	}
	testenv.Need(t, "userns", "strace")
	s := share(t)
	made := slowImages(t)
	for name, c := range pullStates() {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(name+", "+sig.String(), func(t *testing.T) {
				p := newPuller(t, made, filepath.Join(s.dir, "bin/sandbox"))
				p.endsAt(c, sig)
				p.goesOn(c)
			})
		}
	}
}

// puller is somebody with an empty store, and a registry.
type puller struct {
	t                 *testing.T
	g                 *slowRegistry
	prog, home, store string
	errs              string // what the tool says, a file
	port              string // of a server that takes no connections, as the kernel writes it
}

func newPuller(t *testing.T, made *slowRegistry, prog string) *puller {
	home, err := os.MkdirTemp("/dev/shm", "sandbox-signals-") // many files: a disk would be what is tested
	if err != nil {
		home = t.TempDir()
	}
	t.Cleanup(func() { testenv.RemoveAll(home) })
	return &puller{t: t, g: newSlowRegistry(t, made), prog: prog, home: home, store: filepath.Join(home, ".local/share/sandbox"), errs: filepath.Join(home, "errs")}
}

// command is the tool of somebody who has just logged in, in a network without proxies.
func (p *puller) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = slices.DeleteFunc(testenv.CleanEnv("ann", p.home), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
	if d := os.Getenv("GOCOVERDIR"); d != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+d)
	}
	return cmd
}

func (p *puller) said() string {
	b, _ := os.ReadFile(p.errs)
	return string(b)
}

// endsAt starts a pull, waits until it is where c says, and sends it the signal.
func (p *puller) endsAt(c pullState, sig syscall.Signal) {
	t := p.t
	t.Helper()
	ref := p.g.host() + "/app:" + c.tag
	if c.host != nil {
		ref = c.host(p) + "/app:" + c.tag
	}
	p.g.set(c.at)
	end := func() {}
	if c.begin != nil {
		end = c.begin(p)
	}
	flag := "-q"
	if c.log {
		flag = "-v"
	}
	cmd := p.command(append(slices.Clone(c.before), p.prog, flag, "pull", ref)...)
	if c.lonely {
		p.makeLonely(cmd)
	}
	errs, err := os.Create(p.errs)
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	var out bytes.Buffer
	cmd.Stderr, cmd.Stdout = errs, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(untilThere); !c.there(p); time.Sleep(2 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("it ended before: %v: %s", err, p.said())
		default:
		}
		if time.Now().After(end) {
			cmd.Process.Kill()
			t.Fatalf("it never gets there: %s", p.said())
		}
	}
	pid := cmd.Process.Pid
	if c.lonely {
		pid = p.lonelyPID()
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(untilEnd):
		syscall.Kill(pid, syscall.SIGKILL)
		cmd.Process.Kill()
		t.Fatalf("it goes on: %s", p.said())
	}
	said := p.said()
	if c.log {
		said = said[strings.LastIndex(strings.TrimSuffix(said, "\n"), "\n")+1:]
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 || said != "error: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit code %d, %q, on standard output %q", code, said, out.String())
	}
	end()
	p.whole("after the signal")
	if records := p.images(); len(records) > 0 {
		t.Errorf("it is listed: %v", records)
	}
}

// goesOn pulls again, from a registry that answers.
func (p *puller) goesOn(c pullState) {
	t := p.t
	t.Helper()
	p.g.set(nowhere)
	p.g.taken()
	cmd := p.command(p.prog, "-q", "pull", p.g.host()+"/app:"+c.tag)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != p.g.tags[c.tag].Digest {
		t.Fatalf("the pull after it: %v, %q: %s", err, out, errs.String())
	}
	asked := p.g.taken()
	if c.host == nil && c.at == nowhere && slices.Contains(asked, "") {
		t.Error("a layer that was there is fetched from its beginning")
	}
	if want := fmt.Sprintf("bytes=%d-", p.g.half()); c.at == inLayer && !slices.Equal(asked, []string{want}) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if records := p.images(); len(records) != 1 || len(records[0].Layers) != 1 {
		t.Fatalf("listed: %+v", records)
	}
	p.whole("after the pull after it")
	for _, d := range []string{store.Temp, store.Partial} {
		if left, _ := os.ReadDir(filepath.Join(p.store, d)); len(left) > 0 {
			t.Errorf("left in %s: %v", d, left)
		}
	}
}

// open opens the store as the next command does, which takes away what a dead one has left.
func (p *puller) open() *store.Store {
	st, err := store.Open(p.store, store.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

func (p *puller) images() []store.ImageRecord {
	st := p.open()
	defer st.Close()
	r, err := st.Images()
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// whole checks that everything under a final name is what the name says, and that nothing else is left.
func (p *puller) whole(when string) {
	p.t.Helper()
	st := p.open()
	defer st.Close()
	damage, err := st.Verify(context.Background(), store.VerifyOptions{Layer: layer.Check(st.TempDir)})
	if err != nil || len(damage) > 0 {
		p.t.Errorf("%s: %v, %v", when, damage, err)
	}
	if left, err := os.ReadDir(st.Path(store.Temp)); err != nil || len(left) > 0 {
		p.t.Errorf("%s: left: %v, %v", when, left, err)
	}
}

func (p *puller) arrived() bool { return p.g.stalled.Load() }

// hasHalf: half of the layer is on the disk.
func (p *puller) hasHalf() bool {
	fi, err := os.Stat(filepath.Join(p.store, store.Partial, p.g.layer("big").Digest[7:]))
	return err == nil && fi.Size() == p.g.half()
}

// first is another process that pulls the same, and is in the middle of it.
func (p *puller) first() (end func()) {
	cmd := p.command(p.prog, "-q", "pull", p.g.host()+"/app:big")
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for end := time.Now().Add(untilThere); !p.hasHalf(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("the first process gets nothing")
		}
	}
	return func() {
		cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
			p.t.Errorf("the first process: %v", err)
		}
	}
}

// connecting looks for a connection to p.port that nobody has accepted: state 2 of the kernel's table.
func (p *puller) connecting() bool {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		p.t.Fatal(errors.Join(errors.New("the kernel's table of connections"), err))
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == "0100007F:"+p.port && f[3] == "02" {
			return true
		}
	}
	return false
}
