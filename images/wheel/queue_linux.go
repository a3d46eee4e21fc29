package wheel

import (
	"path"
	"sync"
)

// queue has the folders of a prefix that may be filled: those that exist. Filling one makes those in
// it.
type queue struct {
	below map[string][]string // names of the folders in a folder, "." being the prefix

	mu    sync.Mutex
	more  *sync.Cond
	ready []string
	open  int // folders that are ready or being filled
}

func (t *tree) queue() *queue {
	q := &queue{below: map[string][]string{}, ready: []string{"."}, open: 1}
	q.more = sync.NewCond(&q.mu)
	for _, d := range t.folders() {
		up := path.Dir(d)
		q.below[up] = append(q.below[up], path.Base(d))
	}
	return q
}

// next waits for a folder; ok is false when there will be none.
func (q *queue) next() (dir string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && q.open > 0 {
		q.more.Wait()
	}
	if q.open == 0 {
		return "", false
	}
	n := len(q.ready) - 1
	dir, q.ready = q.ready[n], q.ready[:n]
	return dir, true
}

// add is for folders that exist from now on.
func (q *queue) add(dir string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open > 0 {
		q.open++
		q.ready = append(q.ready, dir)
		q.more.Signal()
	}
}

// done says that a folder is full.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open > 0 {
		if q.open--; q.open == 0 {
			q.more.Broadcast()
		}
	}
}

// stop ends the work early.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open, q.ready = 0, nil
	q.more.Broadcast()
}
