package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// T-79: the power goes before each write of a process. Whatever has a final name then is whole, and the next process
// works without help.
//
// Each time there are two disks to look at: as it is, and with the journal written out, which the file system does on
// its own now and then. That is the worst of both: every name and rename is on the disk, and of contents only what
// was synced. Without the order of data the kernel does not even write out what it could.
func TestPowerCut(t *testing.T) {
	testenv.Need(t, "loop")
	if !testenv.OwnMounts(t) {
		return
	}
	for _, options := range []string{"data=ordered", "data=writeback,noauto_da_alloc"} {
		t.Run(options, func(t *testing.T) { cutAtEachWrite(t, options) })
	}
}

func cutAtEachWrite(t *testing.T, options string) {
	p := &power{base: memDir(t), options: options}
	p.disk = testenv.NewDisk(t, p.base+"/disk", 16)
	p.disk.Mount(t, p.base+"/on", options)
	pipe := p.base + "/steps"
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	steps, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer steps.Close()
	c, out, stderr := start(t, "scenario", job{Dir: p.base + "/on/s", Steps: pipe}, false, nil)
	defer c.Process.Kill()
	writes := 0
	for {
		line, err := out.ReadString('\n')
		if err != nil {
			break
		}
		writes++
		when := fmt.Sprintf("cut before write %d, %s", writes, strings.TrimSpace(strings.ReplaceAll(line, p.base, "")))
		p.cut(t, when, nextScenario)
		p.writeJournal(t)
		p.cut(t, when+", journal written", nextScenario)
		if t.Failed() {
			return
		}
		if _, err := steps.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if writes < 40 {
		t.Errorf("only %d writes: the hook is not where they are", writes)
	}
}

// T-79: what a call has reported as done is on the disk. The power goes right after it, before anybody else has synced
// anything and long before the kernel would.
func TestPowerCutAfterEachCall(t *testing.T) {
	testenv.Need(t, "loop")
	if !testenv.OwnMounts(t) {
		return
	}
	p := &power{base: memDir(t), options: "commit=300"}
	p.disk = testenv.NewDisk(t, p.base+"/disk", 16)
	p.disk.Mount(t, p.base+"/on", p.options)
	s, err := Open(p.base+"/on/s", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range durableCalls() {
		if err := c.do(s); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		p.cut(t, c.name, func(t *testing.T, dir, when string) {
			left, err := Open(dir, Options{})
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			defer left.Close()
			if !c.there(left) {
				t.Errorf("%s: it is gone", when)
			}
		})
	}
}

type durableCall struct {
	name  string
	do    func(s *Store) error
	there func(s *Store) bool
}

func durableCalls() []durableCall {
	ctx := context.Background()
	config, parts, made := "config", strings.Repeat("blob ", 1000), "made"
	has := func(text string) func(s *Store) bool {
		return func(s *Store) bool { return s.HasBlob(ctx, DigestOf([]byte(text)), int64(len(text))) }
	}
	record := func(manifest string) durableCall {
		r := ImageRecord{Ref: "name:tag", Manifest: DigestOf([]byte(manifest)), Config: DigestOf([]byte(config))}
		return durableCall{"note an image, " + manifest, func(s *Store) error { return s.PutImage(r) }, func(s *Store) bool {
			got, err := s.Image(r.Ref)
			return err == nil && got.Manifest == r.Manifest
		}}
	}
	return []durableCall{
		{"put a blob", func(s *Store) error {
			_, _, err := s.PutBlob(ctx, strings.NewReader(config), "")
			return err
		}, has(config)},
		{"write a blob in parts", func(s *Store) error { return putInParts(s, parts) }, has(parts)},
		{"make a blob", func(s *Store) error {
			_, _, err := s.MakeBlob(ctx, func(w io.Writer) error { _, err := io.WriteString(w, made); return err })
			return err
		}, has(made)},
		{"make a layer", func(s *Store) error {
			_, _, err := s.MakeLayer(ctx, "11112222", func(dir string) error {
				return errors.Join(os.WriteFile(dir+"/fs/file", []byte("of 11112222"), 0o644), os.Mkdir(dir+"/fs/closed", 0))
			})
			return err
		}, func(s *Store) bool {
			l, ok := s.Layer(ctx, "11112222")
			return ok && checkLayer(ctx, l) == nil
		}},
		{"make a wheel", func(s *Store) error {
			_, _, err := s.MakeWheel(ctx, "33334444", func(dir string) error { return os.WriteFile(dir+"/w", []byte("wheel"), 0o444) })
			return err
		}, func(s *Store) bool {
			w, ok := s.Wheel(ctx, "33334444")
			b, err := os.ReadFile(w + "/w")
			return ok && err == nil && string(b) == "wheel"
		}},
		{"note a diffID", func(s *Store) error { return s.SetDiffID("11112222", DigestOf([]byte(config))) }, func(s *Store) bool {
			l, ok := s.Layer(ctx, "11112222")
			return ok && l.DiffID == DigestOf([]byte(config))
		}},
		record(config), record(made),
		{"forget an image", func(s *Store) error { return s.RemoveImage("name:tag") }, func(s *Store) bool {
			_, err := s.Image("name:tag")
			return errors.Is(err, ErrNotFound)
		}},
	}
}

// power is a disk, and what becomes of it without power.
type power struct {
	base, options string
	disk          testenv.Disk
}

// writeJournal syncs a file that has nothing to do with the store: what ext4 knows of names goes along, what it
// knows of contents does not.
func (p *power) writeJournal(t *testing.T) {
	t.Helper()
	f, err := os.Create(p.base + "/on/other")
	if err == nil {
		_, err = f.WriteString("x")
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cut mounts what is left of the disk and looks at the store there.
func (p *power) cut(t *testing.T, when string, look func(t *testing.T, dir, when string)) {
	t.Helper()
	left := p.disk.Cut(t, p.base+"/left")
	defer os.Remove(left.File)
	unmount := left.Mount(t, p.base+"/after", p.options)
	defer unmount()
	checkStore(t, p.base+"/after/s", when)
	look(t, p.base+"/after/s", when)
}

func nextScenario(t *testing.T, dir, when string) {
	t.Helper()
	if _, err := call(t, "scenario", job{Dir: dir}, false, nil); err != nil {
		t.Errorf("%s: again: %v", when, err)
	}
	checkDone(t, dir, when+", then again")
}

// What the disk did not take is noticed also when another process, which synced in between, was told of it first.
func TestFailedWriteThatAnotherSaw(t *testing.T) {
	testenv.Need(t, "loop")
	if !testenv.OwnMounts(t) {
		return
	}
	base := t.TempDir()
	// The disk fails where the memory behind it is full.
	if err := errors.Join(os.Mkdir(base+"/memory", 0o755), unix.Mount("tmpfs", base+"/memory", "tmpfs", 0, "size=16m")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(base+"/memory", unix.MNT_DETACH) })
	disk := testenv.NewDisk(t, base+"/memory/disk", 64)
	// Without a journal, whose failure would end all writing.
	if out, err := exec.Command("tune2fs", "-O", "^has_journal", disk.File).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	disk.Mount(t, base+"/at", "errors=continue")
	s, err := Open(base+"/at/s", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := false
	_, _, err = s.MakeLayer(context.Background(), "abc", func(dir string) error {
		other, err := os.Open(s.Dir())
		if err != nil {
			return err
		}
		defer other.Close()
		if err := os.WriteFile(dir+"/fs/file", bytes.Repeat([]byte("x"), 32<<20), 0o644); err != nil {
			return err
		}
		seen = unix.Syncfs(int(other.Fd())) != nil
		return unix.Mount("tmpfs", base+"/memory", "tmpfs", unix.MS_REMOUNT, "size=128m")
	})
	if err == nil || !seen {
		t.Errorf("made: %v; another process was told: %v", err, seen)
	}
	if _, ok := s.Layer(context.Background(), "abc"); ok {
		t.Error("it is there")
	}
}
