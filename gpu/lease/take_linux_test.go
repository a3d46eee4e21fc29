package lease

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

func parse(t *testing.T, s string) gpu.Request {
	t.Helper()
	r, err := gpu.Parse(s)
	must(t, err)
	return r
}

func TestTake(t *testing.T) {
	root, inv := newMachine(t, 3)
	ctx := context.Background()
	probe := func(context.Context) (gpu.Inventory, error) { return inv, nil }
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run")}
	picks, a, err := Take(ctx, parse(t, "2"), probe, o)
	must(t, err)
	if len(picks) != 2 || len(a.Files()) != 2 || picks[0].Why == "named" {
		t.Errorf("%+v", picks)
	}
	more, b, err := Take(ctx, parse(t, "1"), probe, o)
	must(t, err)
	if more[0].ID() != inv.Devices[2].UUID {
		t.Error(more)
	}
	_, l, err := Take(ctx, parse(t, "1"), probe, o)
	var held *gpu.HeldError
	if !errors.As(err, &held) || l != nil || len(held.By) != 3 || held.Waited != 0 {
		t.Errorf("%v %v", l, err)
	}
	began := time.Now()
	_, _, err = Take(ctx, parse(t, "1,wait=300ms"), probe, o)
	if !errors.As(err, &held) || held.Waited < 300*time.Millisecond || time.Since(began) < 300*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	must(t, a.Close())
	must(t, b.Close())
	none, l, err := Take(ctx, parse(t, "none"), probe, o)
	if none != nil || l == nil || l.Close() != nil || err != nil {
		t.Error(none, l, err)
	}
	if _, _, err := Take(ctx, parse(t, "4,wait=1h"), probe, o); !errors.As(err, new(*gpu.NoMatchError)) {
		t.Errorf("waited for what never comes: %v", err)
	}
	broken := errors.New("no driver")
	if _, _, err := Take(ctx, parse(t, "1"), func(context.Context) (gpu.Inventory, error) { return inv, broken }, o); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestTakeInAJob(t *testing.T) {
	root, inv := newMachine(t, 2)
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run"), Allowed: gpu.Outside{Environ: map[string]string{"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "1"}}.Allowed}
	probe := func(context.Context) (gpu.Inventory, error) { return inv, nil }
	for range 2 { // ranks of one job use one GPU
		picks, l, err := Take(context.Background(), parse(t, "1"), probe, o)
		must(t, err)
		if len(l.Files()) != 0 || picks[0].Device.Index != 1 {
			t.Error(picks, l.Files())
		}
		defer l.Close()
	}
	must(t, isFree(t, root, o.Dir, inv))
}

func TestWaitEndsByContext(t *testing.T) {
	root, inv := newMachine(t, 1)
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run")}
	l, err := Acquire(context.Background(), o.Roots, o.Dir, []gpu.Pick{{Device: inv.Devices[0]}}, false)
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	notices := 0
	o.Notice = func(string) { notices++; cancel() }
	_, _, err = Take(ctx, parse(t, "1,wait=1h"), func(context.Context) (gpu.Inventory, error) { return inv, nil }, o)
	if !errors.Is(err, context.Canceled) || notices != 1 {
		t.Error(err, notices)
	}
}

// A program without a lease sits on the GPU, and ends: that is seen by reading the GPUs again.
func TestWaitForAProgram(t *testing.T) {
	root, inv := newMachine(t, 1)
	reads, notices := 0, []string{}
	probe := func(context.Context) (gpu.Inventory, error) {
		now := inv
		now.Devices = append([]gpu.Device(nil), inv.Devices...)
		if reads++; reads < 4 {
			now.Devices[0].Processes = []gpu.Process{{PID: 99, Name: "jupyter"}}
		}
		return now, nil
	}
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run"), Probing: 10 * time.Millisecond, Notice: func(s string) { notices = append(notices, s) }}
	picks, l, err := Take(context.Background(), parse(t, "1,wait=1h"), probe, o)
	must(t, err)
	defer l.Close()
	if len(picks) != 1 || len(notices) != 1 || !strings.Contains(notices[0], "GPU 0 is used by jupyter (pid 99)") {
		t.Error(picks, notices)
	}
}

// Between the choice and the lock a program comes to the GPU: the lock is given back and another taken.
func TestReadAgainAfterLocking(t *testing.T) {
	root, inv := newMachine(t, 2)
	reads := 0
	probe := func(context.Context) (gpu.Inventory, error) {
		now := inv
		now.Devices = append([]gpu.Device(nil), inv.Devices...)
		if reads++; reads > 1 {
			now.Devices[0].Processes = []gpu.Process{{PID: 99, Name: "jupyter"}}
			now.Devices[1].Memory.Free = 50 << 30
		}
		return now, nil
	}
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run")}
	picks, l, err := Take(context.Background(), parse(t, "1"), probe, o)
	must(t, err)
	if len(picks) != 1 || picks[0].Device.Index != 1 || picks[0].Device.Memory.Free != 50<<30 || len(l.Files()) != 1 {
		t.Errorf("%+v", picks)
	}
	inv.Devices = inv.Devices[:1]
	must(t, isFree(t, root, o.Dir, inv))
	l.Close()
}

// Six processes, of two users where that can be had, want two of three GPUs, sixty times each.
func TestRaces(t *testing.T) {
	bin := binary(t)
	root, inv := newMachine(t, 3)
	used := filepath.Join(root, "used")
	must(t, os.Mkdir(used, 0o777))
	must(t, os.Chmod(used, 0o777))
	users := []*testenv.User{nil, nil}
	if testenv.Check("users") == nil {
		users = []*testenv.User{testenv.As(t, testenv.WithSubuid), testenv.As(t, testenv.WithoutSubuid)}
	} else {
		t.Log("one user only:", testenv.Check("users"))
	}
	var all []*worker
	for i, req := range []string{"2,wait=1m", "2,wait=1m", "GPU-000000a2,GPU-000000a0,wait=1m", "GPU-000000a1,GPU-000000a2,wait=1m"} {
		dir := filepath.Join(root, "run")
		if u := users[i%2]; u != nil {
			dir = u.Home + "/run"
		}
		all = append(all, start(t, bin, "loop", users[i%2], nil, root, dir, req))
	}
	for _, p := range all {
		p.want("done")
		must(t, p.cmd.Wait())
	}
	must(t, isFree(t, root, filepath.Join(root, "run"), inv))
}

// Who looks who has what has the locks for a moment; nobody is kept away by that.
func TestLookingKeepsNobodyAway(t *testing.T) {
	root, inv := newMachine(t, 2)
	o := Options{Roots: rootsOf(root), Dir: filepath.Join(root, "run")}
	ctx, cancel := context.WithCancel(context.Background())
	var lookers sync.WaitGroup
	defer lookers.Wait()
	defer cancel()
	for range 3 {
		lookers.Go(func() {
			look := Held(o.Roots, o.Dir, inv, false)
			for ctx.Err() == nil {
				look(inv.Devices[0].UUID)
				look(inv.Devices[1].UUID)
			}
		})
	}
	for range 300 {
		_, l, err := Take(ctx, parse(t, "2"), func(context.Context) (gpu.Inventory, error) { return inv, nil }, o)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
