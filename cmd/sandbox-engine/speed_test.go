package main

import (
	"testing"
	"time"
)

func TestSpeed(t *testing.T) {
	t0 := time.Unix(1_000_000, 0)
	var s speed
	const total = 1000 << 20
	for i := range 40 { // from 100 MiB on, which an earlier run had brought: 1 MiB in each tenth of a second
		s.add(t0.Add(time.Duration(i)*100*time.Millisecond), int64(100+i)<<20)
	}
	for _, c := range []struct {
		after       time.Duration
		done, total int64
		want        string
	}{
		{time.Second, 110 << 20, total, ""}, // too early to tell
		{4 * time.Second, 140 << 20, total, "  10.0 MiB/s  1 min 26 s left"},
		{4 * time.Second, 990 << 20, total, "  222.5 MiB/s  0 s left"},
		{4 * time.Second, 100 << 20, total, "  stalled"},
		{4 * time.Second, 3, 7, ""}, // steps
		{4 * time.Second, 140 << 20, -1, ""},
	} {
		if got := s.text(t0.Add(c.after), c.done, c.total); got != c.want {
			t.Errorf("after %s, %d of %d: %q, want %q", c.after, c.done, c.total, got, c.want)
		}
	}
	// Only the last ten seconds count.
	for i := range 30 {
		s.add(t0.Add(time.Duration(10+i)*time.Second), int64(200)<<20)
	}
	if got := s.text(t0.Add(40*time.Second), 200<<20, total); got != "  stalled" {
		t.Errorf("after a long pause: %q", got)
	}
	for d, want := range map[time.Duration]string{400 * time.Millisecond: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 01 s", 3*time.Hour + 5*time.Minute: "3 h 05 min"} {
		if got := about(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
