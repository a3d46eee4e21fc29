package build

import (
	"errors"
	"fmt"
	"strings"
)

// dpkgError makes what dpkg printed readable: without the warnings about an order of unpacking that
// we chose, and only the end of it.
func dpkgError(err error, output string) error {
	if full := roomError(err); full != nil {
		return full
	}
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	var keep []string
	skip := false
	for line := range strings.SplitSeq(output, "\n") {
		switch {
		case strings.HasPrefix(line, "dpkg: regarding "), strings.Contains(line, "dependency problems prevent"):
			skip = true
		case strings.HasPrefix(line, "dpkg: warning: ignoring pre-dependency problem"):
			skip = false
			continue
		}
		for _, p := range []string{"Selecting previously", "Preparing to unpack", "Unpacking ", "(Reading database"} {
			if strings.HasPrefix(line, p) {
				skip = false
			}
		}
		if !skip && strings.TrimSpace(line) != "" {
			keep = append(keep, line)
		}
	}
	return fmt.Errorf("dpkg exited with code %d:\n%s", exit.Code, strings.Join(around(keep), "\n"))
}

// around picks the lines near "dpkg: error", or the last ones if nothing says so.
func around(lines []string) []string {
	const before, after, most = 8, 3, 40
	var out []string
	next := 0
	for i, l := range lines {
		if !strings.HasPrefix(l, "dpkg: error") {
			continue
		}
		from, to := max(next, i-before), min(len(lines), i+after+1)
		if from < to {
			out = append(out, lines[from:to]...)
			next = to
		}
	}
	if out == nil {
		return lines[max(0, len(lines)-most):]
	}
	return out[:min(len(out), most)] // what comes later mostly follows from the first
}
