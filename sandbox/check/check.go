// Package check finds out whether this host can run sandboxes, and what is in the way if not. Use
// [Run] for everything there is to know (`sandbox doctor`), and [Explain] on an error of the kernel's:
// both ask the same probes, one for each cause, so a failing run and the doctor never disagree.
//
// A probe really tries the thing, in a child process of its own and for at most two seconds, since
// no file of the kernel's says what seccomp filters and security modules refuse. Children are the
// calling program itself: its main has to begin with [Init].
package check

import (
	"context"
	"os"
	"time"
)

// Status is the verdict of a probe.
type Status string

// The verdicts. Warn is a limit that one can live with.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is what one probe found.
type Finding struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // what helps, if anything does
}

// Options say what to look at.
type Options struct {
	Store string // folder of the store; it need not exist. "" leaves out what depends on it
}

// limit is how long one probe may take. A network file system that hangs is the usual reason.
const limit = 2 * time.Second

// probe is one cause of trouble.
type probe struct {
	id, title string
	needs     string // the id of a probe that has to succeed first
	run       func(context.Context, *host) result
}

// result is what a probe returns: a Finding without its name.
type result struct {
	status       Status
	detail, hint string
}

// host is the machine as the probes see it.
type host struct {
	root  string // where /proc and /sys are: "" for real, a folder of files in tests
	store string
	euid  int
}

// Run asks all probes that make sense and returns what they found, the most basic first. What stands
// on a probe that failed is left out.
func Run(ctx context.Context, o Options) []Finding {
	return run(ctx, &host{store: o.Store, euid: os.Geteuid()}, nil)
}

// run asks the named probes, or all.
func run(ctx context.Context, h *host, ids []string) []Finding {
	var out []Finding
	failed := map[string]bool{}
	for _, p := range probes() {
		if !wanted(p.id, ids) {
			continue
		}
		if failed[p.needs] {
			failed[p.id] = true
			continue
		}
		r := bounded(ctx, p, h)
		if r.status == "" {
			continue // does not apply here
		}
		failed[p.id] = r.status == Fail
		out = append(out, Finding{ID: p.id, Title: p.title, Status: r.status, Detail: r.detail, Hint: r.hint})
	}
	return out
}

func wanted(id string, ids []string) bool {
	for _, s := range ids {
		if s == id {
			return true
		}
	}
	return ids == nil
}

func bounded(ctx context.Context, p probe, h *host) result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan result, 1)
	go func() { done <- p.run(ctx, h) }()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		return result{Fail, "gave no answer within " + limit.String(), ""}
	}
}
