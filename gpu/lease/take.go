//go:build unix

package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
)

// Options is what surrounds [Take].
type Options struct {
	Roots gpu.Roots
	Dir   string // the user's folder for the files of slices
	// Allowed is the outer limit, [gpu.Outside.Allowed]; nil: there is none.
	Allowed func(gpu.Inventory) (*gpu.Allowed, bool, error)
	Mine    func(gpu.Process) bool // as in [gpu.SelectOptions]
	// Notice is told once that Take waits, for whom and how long. nil: nobody is.
	Notice func(text string)
	// Probing is how often the GPUs are read while waiting, since programs that take no lease can be seen in
	// no other way; 0: every 5 s. A lease that is given back is seen at once.
	Probing time.Duration
}

// tries is how often others may be quicker before that counts as being in use.
const tries = 100

// Take selects GPUs, locks them in the order of UUIDs, reads them again and returns them as they are now.
// If somebody was quicker it selects anew. If all that fit are in use it waits for as long as the request
// says, without a place in a queue. It ends with ctx.
//
// probe may answer with what it was told a moment ago, to spare the driver a question: programs that take no
// lease can always come a moment later.
//
// In a scheduler's job nothing is locked: the lease is empty. Errors are those of [gpu.Request.Select], of
// probe, and of ctx; the lease is nil then. A request for nothing gives no picks and an empty lease.
func Take(ctx context.Context, req gpu.Request, probe func(context.Context) (gpu.Inventory, error), o Options) ([]gpu.Pick, *Lease, error) {
	if !req.Wants() {
		return nil, &Lease{}, nil
	}
	t := &taking{req: req, probe: probe, o: o, began: time.Now()}
	for try := 0; ; try++ {
		picks, l, err := t.once(ctx)
		var held *gpu.HeldError
		switch {
		case err == nil:
			return picks, l, nil
		case errors.As(err, &held):
			if err := t.wait(ctx, held); err != nil {
				return nil, nil, err
			}
		case errors.As(err, new(*BusyError)) && try < tries:
			// Who lost a race steps back for a random time, so that two do not step together.
			if err := sleep(ctx, time.Millisecond+rand.N(10*time.Millisecond)); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, err
		}
	}
}

type taking struct {
	req   gpu.Request
	probe func(context.Context) (gpu.Inventory, error)
	o     Options
	began time.Time
	told  bool
	asked bool          // whether a lease was taken for a look
	inv   gpu.Inventory // as read last
	// leased are the GPUs that were left because of a lease. What is waited for is that one of them differs
	// from then, and not from some later look: it may be given back before waiting begins.
	leased []string
}

// once selects, locks and looks again.
func (t *taking) once(ctx context.Context) ([]gpu.Pick, *Lease, error) {
	so, err := t.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	t.leased = nil
	if !so.InJob {
		held := Held(t.o.Roots, t.o.Dir, t.inv, t.req.Share)
		so.Held = func(id string) (string, bool) {
			by, yes := held(id)
			if yes {
				t.leased = append(t.leased, id)
			}
			return by, yes
		}
	}
	picks, err := t.req.Select(t.inv, so)
	if err != nil || so.InJob {
		return picks, &Lease{}, err
	}
	l, err := Acquire(ctx, t.o.Roots, t.o.Dir, picks, t.req.Share)
	if err != nil {
		return nil, nil, err
	}
	now, err := t.confirm(ctx, picks)
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return now, l, nil
}

// read asks the driver and the surroundings.
func (t *taking) read(ctx context.Context) (gpu.SelectOptions, error) {
	inv, err := t.probe(ctx)
	if err != nil {
		return gpu.SelectOptions{}, err
	}
	t.inv = inv
	so := gpu.SelectOptions{Mine: t.o.Mine}
	if t.o.Allowed != nil {
		so.Allowed, so.InJob, err = t.o.Allowed(inv)
	}
	return so, err
}

// confirm looks whether what was locked still is as wanted: a program without a lease may have come while
// the lock was taken. What does not fit any more is told as busy, so that the next try sees why.
func (t *taking) confirm(ctx context.Context, picks []gpu.Pick) ([]gpu.Pick, error) {
	so, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	same := t.req
	same.All, same.Count, same.IDs, same.SameNUMA = false, 0, nil, false
	for _, p := range picks {
		same.IDs = append(same.IDs, p.ID())
	}
	now, err := same.Select(t.inv, so)
	if err != nil {
		return nil, &BusyError{ID: picks[0].ID(), By: "a program that came in between"}
	}
	for i := range now {
		now[i].Why = picks[i].Why
	}
	return now, nil
}

// wait returns when it is worth to look again, or with the reason to give up.
func (t *taking) wait(ctx context.Context, inUse *gpu.HeldError) error {
	left := t.req.Wait - time.Since(t.began)
	if left <= 0 {
		if t.mistaken(ctx) {
			return nil
		}
		if t.req.Wait > 0 {
			inUse.Waited = time.Since(t.began)
		}
		return inUse
	}
	if !t.told && t.o.Notice != nil {
		t.o.Notice(fmt.Sprintf("waiting for up to %s: %s", t.req.Wait, inUse))
	}
	t.told = true
	probing := t.o.Probing
	if probing <= 0 {
		probing = 5 * time.Second
	}
	until := time.Now().Add(min(left, probing))
	for pause := 20 * time.Millisecond; time.Now().Before(until); pause = min(2*pause, 250*time.Millisecond) {
		if t.someFree() {
			return nil
		}
		if err := sleep(ctx, min(pause, time.Until(until))); err != nil {
			return err
		}
	}
	return nil
}

// mistaken tells whether a lease that kept us away is free after all: who only looks has the lock for a
// moment, and on a busy machine a moment may be long. It is asked once, before giving up.
func (t *taking) mistaken(ctx context.Context) bool {
	if t.asked || len(t.leased) == 0 || sleep(ctx, 50*time.Millisecond) != nil {
		return false
	}
	t.asked = true
	return t.someFree()
}

func (t *taking) someFree() bool {
	held := Held(t.o.Roots, t.o.Dir, t.inv, t.req.Share)
	return slices.ContainsFunc(t.leased, func(id string) bool { _, yes := held(id); return !yes })
}
