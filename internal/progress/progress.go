// Package progress is how long work tells what it is doing, without knowing who shows it. Libraries
// take a [Report] as an option and call it; the command line draws bars or prints lines.
package progress

// Report is told about one piece of work: verb ("pull", "fetch", "build"), item ("layer 3f2a…",
// "numpy-2.1.0…whl"), done and total in unit bytes or steps; total is -1 while unknown, and done ==
// total ends the item. It may be called from many goroutines at once and must not block. The zero
// value, nil, is allowed: call it through [Report.Do].
type Report func(verb, item string, done, total int64)

// Do calls r unless it is nil.
func (r Report) Do(verb, item string, done, total int64) {
	if r != nil {
		r(verb, item, done, total)
	}
}
