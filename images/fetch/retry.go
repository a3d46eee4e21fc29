package fetch

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxTries     = 8                // in a row without progress
	maxDialTries = 3                // of them for a host that could never be reached
	progressStep = 256 << 10        // bytes that count as progress
	maxPause     = 15 * time.Second // between tries that we time ourselves
	maxAfter     = 60 * time.Second // that a server can ask for
)

// retry counts the tries of one download at one source.
type retry struct {
	tries int
	dials int
	spent time.Duration // waited since the last progress
	begun bool          // bytes came before: a server that cannot be reached now is being restarted, not mistyped
}

// next waits before another try, or says that there is none. err is why the last one failed.
func (r *retry) next(ctx context.Context, err error, budget time.Duration) bool {
	r.tries++
	if isDial(err) {
		r.dials++
	}
	if permanent(err) || r.tries >= maxTries || r.dials >= maxDialTries && !r.begun {
		return false
	}
	d := pause(r.tries, err)
	if r.spent += d; r.spent > budget {
		return false
	}
	return sleep(ctx, d) == nil
}

// pause is exponential with jitter, or what the server asked for.
func pause(tries int, err error) time.Duration {
	if s, ok := err.(*StatusError); ok && s.after >= 0 {
		return min(s.after, maxAfter)
	}
	d := min(250*time.Millisecond<<(tries-1), maxPause)
	return d*3/4 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retryAfter reads the header in its two forms, seconds and a date; -1 where there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return -1
	}
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), 3600)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return -1
}
