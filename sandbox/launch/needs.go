package launch

import (
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/4cc2e759/sandbox/envfile/terms"
)

// Enough refuses what the machine cannot hold; key is where the env file says it: "needs", "task.train.needs".
func (l *Launcher) Enough(n terms.Needs, key string) error {
	if n == (terms.Needs{}) {
		return nil
	}
	if n.Memory > 0 {
		if total := memory(); total > 0 && total < int64(n.Memory) {
			return &NeedsError{key, "memory", size(int64(n.Memory)), size(total)}
		}
	}
	if n.CPUs > 0 {
		if have := cpus(); float64(have) < n.CPUs {
			return &NeedsError{key, "cpus", strconv.FormatFloat(n.CPUs, 'f', -1, 64), strconv.Itoa(have)}
		}
	}
	if n.Disk > 0 {
		var fs syscall.Statfs_t
		dir := l.StoreDir
		for dir != "/" && syscall.Stat(dir, new(syscall.Stat_t)) != nil {
			dir = filepath.Dir(dir)
		}
		if err := syscall.Statfs(dir, &fs); err == nil {
			if free := int64(fs.Bavail) * int64(fs.Bsize); free < int64(n.Disk) {
				return &NeedsError{key, "free disk at " + dir, size(int64(n.Disk)), size(free)}
			}
		}
	}
	return nil
}

// TaskNeeds are what a run needs that starts with this word, and where the env file says so: a task's own, else
// the file's.
func TaskNeeds(t terms.Task, isTask bool, name string, file terms.Needs) (terms.Needs, string) {
	if isTask && t.Needs != nil {
		return *t.Needs, "task." + name + ".needs"
	}
	return file, "needs"
}

// NeedsError is a need of the env file that this machine does not meet.
type NeedsError struct{ Key, What, Need, Have string }

func (e *NeedsError) Error() string {
	what := "this project"
	if e.Key != "needs" {
		what = "this task"
	}
	return fmt.Sprintf("%s needs %s of %s; this machine has %s", what, e.Need, e.What, e.Have)
}

// Hint says where the need is written.
func (e *NeedsError) Hint() string {
	return "[" + e.Key + "] in " + EnvName + " says so; run it on a larger machine, or change it"
}

// size is a number of bytes for a person.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := int64(unit), 0
	for v := n / unit; v >= unit && exp < 4; v /= unit {
		div *= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", float64(n)/float64(div), "KMGTP"[exp])
}
