package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/envfile"
)

// enough refuses early what the machine cannot hold.
func (m *Manager) enough(n envfile.Needs) error {
	if n.Memory > 0 {
		if total := memory(); total > 0 && total < int64(n.Memory) {
			return &NeedsError{"memory", size(int64(n.Memory)), size(total)}
		}
	}
	if n.CPUs > 0 {
		if have := cpus(); float64(have) < n.CPUs {
			return &NeedsError{"cpus", fmt.Sprint(n.CPUs), fmt.Sprint(have)}
		}
	}
	if n.Disk > 0 {
		var fs syscall.Statfs_t
		dir := m.StoreDir()
		for dir != "/" && syscall.Stat(dir, new(syscall.Stat_t)) != nil {
			dir = filepath.Dir(dir)
		}
		if err := syscall.Statfs(dir, &fs); err == nil {
			if free := int64(fs.Bavail) * int64(fs.Bsize); free < int64(n.Disk) {
				return &NeedsError{"free disk at " + dir, size(int64(n.Disk)), size(free)}
			}
		}
	}
	return nil
}

// NeedsError is a need of the env file that this machine does not meet.
type NeedsError struct{ What, Need, Have string }

func (e *NeedsError) Error() string {
	return fmt.Sprintf("this project needs %s of %s; this machine has %s", e.Need, e.What, e.Have)
}

// Hint says where the need is written.
func (e *NeedsError) Hint() string {
	return "[needs] in " + EnvName + " says so; run it on a larger machine, or change it"
}

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

// sayLimits tells which caps of the env file nothing enforces here: code that runs without them still
// gives the same result.
func (p *Project) sayLimits(f *envfile.File) {
	l := f.Limits
	var names []string
	for _, c := range []struct {
		name string
		set  bool
	}{{"memory", l.Memory > 0}, {"cpus", l.CPUs > 0}, {"pids", l.Pids > 0}, {"time", l.Time != ""}, {"disk", l.Disk > 0}} {
		if c.set {
			names = append(names, c.name)
		}
	}
	if len(names) > 0 {
		p.m.notice("[limits] %s: this version does not enforce them", strings.Join(names, ", "))
	}
}
