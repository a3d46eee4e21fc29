package start

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// play is what a re-executed test binary does instead of testing: it is the program that starts a
// sandbox, as the command line tool is.
func play(role string) int {
	name, rest, _ := strings.Cut(role, ":")
	dir, script, _ := strings.Cut(rest, ":")
	switch name {
	case "sh": // passes everything on, as `sandbox run` does
		s := base(dir, "sh", "-c", script)
		s.Process.Env = append(s.Process.Env, "PS1=$ ", "TERM=dumb")
		if os.Getenv("START_TEST_UID") != "" {
			s.IDs = spec.IDs{UID: 1000, GID: 1000}
		}
		if script == "" {
			s.Process.Args = []string{"bash", "--norc", "--noediting", "-i"}
		}
		p, err := Start(context.Background(), s, Options{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Forward: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			return 125
		}
		if os.Getenv("START_TEST_PID") != "" {
			fmt.Println("pid", p.Pid())
		}
		e, _ := p.Wait()
		return e.Status()
	}
	return 125
}
