package main

import (
	"fmt"
	"sync"
	"time"
)

// speed is how fast bytes came of late. What was there when it began, of an earlier run, does not count. Safe for
// concurrent use.
type speed struct {
	mu    sync.Mutex
	marks [10]mark // about a second apart, oldest first
	n     int
}

type mark struct {
	at   time.Time
	done int64
}

func (s *speed) add(now time.Time, done int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 && now.Sub(s.marks[s.n-1].at) < time.Second {
		return
	}
	if s.n == len(s.marks) {
		copy(s.marks[:], s.marks[1:])
		s.n--
	}
	s.marks[s.n] = mark{now, done}
	s.n++
}

// text is "  RATE  TIME left", or nothing where that cannot be told yet.
func (s *speed) text(now time.Time, done, total int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 || total < steps {
		return ""
	}
	since := now.Sub(s.marks[0].at)
	if since < 2*time.Second {
		return ""
	}
	rate := float64(done-s.marks[0].done) / since.Seconds()
	if rate < 1 {
		return "  stalled"
	}
	left := time.Duration(float64(total-done) / rate * float64(time.Second))
	return fmt.Sprintf("  %.1f MiB/s  %s left", rate/(1<<20), about(left))
}

// about is a time in one or two units.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
