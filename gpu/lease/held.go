//go:build unix

package lease

import (
	"context"
	"os"
	"syscall"

	"github.com/4cc2e759/sandbox/gpu"
)

// Held returns the function that [gpu.SelectOptions] wants: whether a run that uses a GPU alone, or with
// share together with others, cannot have the lease of this ID now, and who has it. It looks by taking the
// lock for a moment, since the list of locks in /proc leaves out other pid namespaces. What cannot be
// looked at counts as free: taking it will say what is wrong.
func Held(roots gpu.Roots, dir string, inv gpu.Inventory, share bool) func(id string) (by string, held bool) {
	return func(id string) (string, bool) {
		for _, d := range inv.Devices {
			if d.ID() == id {
				return look(roots, dir, gpu.Pick{Device: d}, share)
			}
			for _, m := range d.MIG {
				if m.UUID == id {
					return look(roots, dir, gpu.Pick{Device: d, MIG: &m}, share)
				}
			}
		}
		return "", false
	}
}

func look(roots gpu.Roots, dir string, p gpu.Pick, share bool) (string, bool) {
	targets, err := targetsOf(roots, dir, []gpu.Pick{p}, share)
	if err != nil {
		return "", false
	}
	for _, t := range targets {
		if _, err := os.Lstat(t.path); err != nil {
			continue // a slice that nobody ever leased
		}
		f, err := t.lock(context.Background())
		if err == nil {
			f.Close()
		} else if isBusy(err) {
			return holder(roots, t.path), true
		}
	}
	return "", false
}

func isBusy(err error) bool { return err == syscall.EWOULDBLOCK }
