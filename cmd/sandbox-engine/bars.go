package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/4cc2e759/sandbox/internal/printable"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// bars shows long work: bars on a terminal, a line per finished item elsewhere, nothing with -q.
// Nothing is shown for work that is over within a moment.
type bars struct {
	out   *os.File
	quiet bool
	tty   bool

	mu    sync.Mutex
	group *mpb.Progress
	items map[string]*item
}

type item struct {
	bar     *mpb.Bar
	started time.Time
	total   int64
	last    time.Time
	done    bool
	speed   speed
}

// slow is how long an item lasts before it is shown on a terminal.
const slow = 300 * time.Millisecond

func newBars(out *os.File, quiet bool) *bars {
	return &bars{out: out, quiet: quiet, tty: isTerminal(out), items: map[string]*item{}}
}

// report is a progress.Report.
func (b *bars) report(verb, name string, done, total int64) {
	if b.quiet {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := verb + " " + name
	it := b.items[key]
	if it == nil {
		it = &item{started: time.Now(), total: total}
		b.items[key] = it
	}
	if it.done {
		return
	}
	it.speed.add(time.Now(), done)
	over := total >= 0 && done >= total
	if b.tty {
		b.show(it, verb, name, done, total, over)
	} else {
		b.line(it, key, done, total, over)
	}
	it.done = over
}

func (b *bars) show(it *item, verb, name string, done, total int64, over bool) {
	if it.bar == nil {
		if over || time.Since(it.started) < slow {
			return
		}
		if b.group == nil {
			// Of 80 columns 24 are the name, at most 17 the amount and 31 speed and time left.
			b.group = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(24), mpb.WithAutoRefresh(), mpb.WithRefreshRate(150*time.Millisecond))
		}
		it.bar = b.group.AddBar(max(total, 0),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-24s ", shorten(verb+" "+name, 24)))),
			mpb.AppendDecorators(decor.OnComplete(decor.Any(func(s decor.Statistics) string {
				return amount(s.Current, s.Total) + it.speed.text(time.Now(), s.Current, s.Total)
			}), "")))
	}
	if total > 0 && it.total != total {
		it.total = total
		it.bar.SetTotal(total, false)
	}
	it.bar.SetCurrent(done)
	if over {
		it.bar.SetTotal(total, true)
	}
}

// amount is bytes for what is fetched and steps for what is made.
func amount(done, total int64) string {
	if total <= 0 {
		return ""
	}
	if total < steps {
		return fmt.Sprintf("%d/%d", done, total)
	}
	return fmt.Sprintf("%.1f/%.1f MiB", float64(done)/(1<<20), float64(total)/(1<<20))
}

// Fewer than this are not bytes.
const steps = 4096

// line prints the beginning of an item that is worth a line and, every ten seconds, how far it is.
func (b *bars) line(it *item, key string, done, total int64, over bool) {
	now := time.Now()
	switch {
	case over && now.Sub(it.started) > time.Second:
		fmt.Fprintf(b.out, "%s: done in %.1f s\n", key, now.Sub(it.started).Seconds())
	case !over && !it.last.IsZero() && now.Sub(it.last) > 10*time.Second:
		it.last = now
		fmt.Fprintf(b.out, "%s: %s%s\n", key, amount(done, total), it.speed.text(now, done, total))
	case it.last.IsZero():
		it.last = now
	}
}

// say prints a line, above the bars where there are any.
func (b *bars) say(s string) {
	s = printable.Text(s, maxLine)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.group != nil {
		fmt.Fprintln(b.group, s)
		return
	}
	fmt.Fprintln(b.out, s)
}

func (b *bars) close() {
	b.mu.Lock()
	g := b.group
	for _, it := range b.items {
		if it.bar != nil && !it.bar.Completed() {
			it.bar.Abort(true)
		}
	}
	b.group = nil
	b.mu.Unlock()
	if g != nil {
		g.Wait()
	}
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-1] + "…"
}
