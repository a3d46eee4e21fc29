package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// T-14: processes pull, run, collect and list at once, and some are killed at random. Nobody but the killed
// notices, and what is left is whole. SANDBOX_TEST_SEED repeats a run's choices;
// with SANDBOX_TEST_ALL it takes a minute.
func TestRandomProcesses(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SANDBOX_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SANDBOX_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := memDir(t) + "/s"
	rounds, end := 6, time.Now()
	if os.Getenv("SANDBOX_TEST_ALL") != "" {
		end = end.Add(time.Minute)
	}
	for round := 0; round < rounds || time.Now().Before(end); round++ {
		type process struct {
			wait   func() error
			killed bool
		}
		var all []process
		for range 5 {
			c, out, errs := start(t, "mixed", job{Dir: dir, Name: strconv.FormatUint(r.Uint64(), 10)}, false, nil)
			p := process{killed: r.IntN(3) == 0, wait: func() error {
				io.Copy(io.Discard, out)
				err := c.Wait()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, errs)
				}
				return err
			}}
			if p.killed {
				time.AfterFunc(time.Duration(r.IntN(150))*time.Millisecond, func() { c.Process.Kill() })
			}
			all = append(all, p)
		}
		for _, p := range all {
			if err := p.wait(); err != nil && !p.killed {
				t.Errorf("round %d: %v", round, err)
			}
		}
		checkStore(t, dir, fmt.Sprintf("round %d", round))
		if t.Failed() {
			return
		}
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.GC(context.Background(), nothingKept, GCOptions{}); err != nil {
		t.Fatal(err)
	}
	if l := left(t, s); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// mixed is what one of the processes does.
func mixed(s *Store, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(n, 1))
	for i := range 40 {
		var err error
		name := fmt.Sprintf("layer%d", r.IntN(6))
		switch r.IntN(5) {
		case 0, 1:
			err = pullOne(s, name)
		case 2:
			err = runOne(s, name)
		case 3:
			keep := r.IntN(6)
			_, err = s.GC(context.Background(), func(_ Kind, n string) bool { return n == fmt.Sprintf("layer%d", keep) }, GCOptions{MaxSize: int64(r.IntN(2) * 4096)})
		case 4:
			_, err = s.Images()
		}
		if err != nil {
			return fmt.Errorf("step %d: %s: %w", i, name, err)
		}
	}
	return nil
}

func pullOne(s *Store, name string) error {
	if err := putInParts(s, strings.Repeat("blob of "+name, 400)); err != nil {
		return err
	}
	_, _, err := s.MakeLayer(context.Background(), name, func(dir string) error {
		return errors.Join(os.WriteFile(dir+"/fs/file", []byte("of "+name), 0o644), os.Mkdir(dir+"/fs/closed", 0))
	})
	if err != nil {
		return err
	}
	d := DigestOf([]byte(name))
	return s.PutImage(ImageRecord{Ref: name, Manifest: d, Config: d, Layers: []string{name}})
}

// runOne is a program that reads its files for a while.
func runOne(s *Store, name string) error {
	release, err := s.Use(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	l, ok := s.Layer(context.Background(), name)
	if !ok {
		return errors.New("a layer in use is gone")
	}
	for range 5 {
		if err := checkLayer(context.Background(), l); err != nil {
			return fmt.Errorf("a layer in use: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// T-23 and the cost of a collection: a store of 2,000 layers is looked through, and emptied, with so few system calls
// that it takes less than a second: about 10 µs each, folders and files included.
func TestGCSystemCalls(t *testing.T) {
	testenv.Need(t, "strace")
	for _, c := range []struct {
		how string
		max int // calls for each layer
	}{{"keep all", 3}, {"dry run", 30}, {"remove", 45}, {"remove by size", 75}} {
		few, many := gcCalls(t, c.how, 50), gcCalls(t, c.how, 250)
		each := (many - few) / 200
		t.Logf("%s: %d calls for each layer, %d for 50", c.how, each, few)
		if each > c.max {
			t.Errorf("%s: %d calls for each layer", c.how, each)
		}
		if few > 50*c.max+2000 {
			t.Errorf("%s: %d calls for 50 layers", c.how, few)
		}
	}
}

// gcCalls counts the system calls of a process that collects in a store of n layers of two files each.
func gcCalls(t *testing.T, how string, n int) int {
	t.Helper()
	s, err := Open(memDir(t)+"/s", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		dir := s.Path(Layers, fmt.Sprintf("%064d", i))
		err := errors.Join(os.MkdirAll(dir+"/fs", 0o755), os.Mkdir(dir+"/tar", 0o755), os.WriteFile(dir+"/fs/a", []byte("a"), 0o644), os.WriteFile(dir+"/tar/raw.zst", []byte("b"), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	out := t.TempDir() + "/calls"
	c := exec.Command("strace", "-f", "-c", "-o", out, os.Getenv("STORE_TEST_BASE")+"/helper")
	c.Env = append(os.Environ(), "STORE_HELPER=gc", "GOMAXPROCS=1")
	c.Stdin = strings.NewReader(fmt.Sprintf(`{"Dir":%q,"Name":%q}`, s.Dir(), how))
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for line := range strings.Lines(string(b)) {
		// Waiting and the like depend on how busy the machine is.
		f := strings.Fields(line)
		if len(f) < 5 || regexp.MustCompile(`futex|epoll|nanosleep|sched_yield|madvise|mmap|rt_sig|getpid|tgkill|total`).MatchString(f[len(f)-1]) {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			total += n
		}
	}
	return total
}

func gcAs(s *Store, how string) error {
	o := GCOptions{DryRun: how == "dry run"}
	if how == "remove by size" {
		o.MaxSize = 1
	}
	_, err := s.GC(context.Background(), func(Kind, string) bool { return how == "keep all" }, o)
	return err
}
