package launch

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/internal/cgroup"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// limited is what holds the caps of one start.
type limited struct {
	group   *cgroup.Group // nil: none is set
	time    time.Duration // 0 is for ever
	notice  func(string)
	timers  [2]*time.Timer
	expired atomic.Bool
}

// grace is how long a program has after its time is over and it was told to end.
const grace = 10 * time.Second

// limit prepares the caps of one start, and says which of them nothing enforces here; the front leaves such a start
// to the engine, which says it once, whatever comes after it. Without caps nothing is looked at.
func (l *Launcher) limit(lim terms.Limits) (*limited, error) {
	lim.Shm = 0 // the size of a mount
	if lim == (terms.Limits{}) {
		return nil, nil
	}
	r := &limited{notice: l.notice}
	if lim.Time != "" {
		var err error
		if r.time, err = time.ParseDuration(lim.Time); err != nil {
			return nil, fmt.Errorf("limits.time: %w", err)
		}
	}
	var caps []cgroup.Cap
	if lim.Memory > 0 {
		caps = append(caps, cgroup.Memory(int64(lim.Memory))...)
	}
	if lim.CPUs > 0 {
		caps = append(caps, cgroup.CPUs(lim.CPUs)...)
	}
	if lim.Pids > 0 {
		caps = append(caps, cgroup.Pids(lim.Pids)...)
	}
	var say []string
	if len(caps) > 0 {
		g, missing, why := cgroup.Host{}.New(caps)
		if r.group = g; len(missing) > 0 {
			say = append(say, fmt.Sprintf("[limits] %s: not enforced here: %s", strings.Join(missing, ", "), why))
		}
	}
	if lim.Disk > 0 {
		say = append(say, "[limits] disk: not enforced by this version")
	}
	if len(say) > 0 && l.Front {
		r.end()
		return nil, ErrEngine
	}
	for _, s := range say {
		l.notice(s)
	}
	return r, nil
}

// folder is the group to start in.
func (r *limited) folder() *os.File {
	if r == nil || r.group == nil {
		return nil
	}
	return r.group.File()
}

// watch ends the program when its time is over: told first, then killed.
func (r *limited) watch(p *start.Process) {
	if r == nil || r.time == 0 {
		return
	}
	r.timers[0] = time.AfterFunc(r.time, func() {
		r.expired.Store(true)
		p.Signal(syscall.SIGTERM)
	})
	r.timers[1] = time.AfterFunc(r.time+grace, func() { p.Signal(syscall.SIGKILL) })
}

// stop ends the watch over the time.
func (r *limited) stop() {
	if r == nil {
		return
	}
	for _, t := range r.timers {
		if t != nil {
			t.Stop()
		}
	}
}

// end gives back what was taken, after the last process, and says what the caps have done.
func (r *limited) end() error {
	if r == nil {
		return nil
	}
	r.stop()
	if r.group != nil {
		if n := r.group.Killed(); n > 0 {
			r.notice("the kernel ended a process: more memory was wanted than [limits] memory allows")
		}
		r.group.Remove() // what cannot be removed now, the next start with caps removes
	}
	if r.expired.Load() {
		return &TimeError{r.time}
	}
	return nil
}

// TimeError says that the program was ended since its time was over.
type TimeError struct{ Limit time.Duration }

func (e *TimeError) Error() string {
	return "the program was ended after " + e.Limit.String() + ", as [limits] time says"
}

// Status is the exit code of such a run, as that of timeout(1).
func (e *TimeError) Status() int { return 124 }
