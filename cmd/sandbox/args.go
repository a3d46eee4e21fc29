package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// request is a command line that the front knows:
//
//	sandbox run [-C DIR] [--dir DIR] [--env NAME[=VALUE]]… [--name NAME] [--network MODE] [--] ARG…
type request struct {
	dir, name, network string
	env                []string
	args               []string
	command            bool // "--" came first: a command, also where a task has its name
}

// parse reads a command line exactly as the engine does; ok is false for every one that has to be
// looked at by it, mistakes included.
func parse(args []string) (r request, ok bool) {
	if len(args) == 0 || args[0] != "run" {
		return r, false
	}
	for args = args[1:]; len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-'; {
		if args[0] == "--" {
			r.command, args = true, args[1:]
			break
		}
		flag, value, joined := strings.Cut(args[0], "=")
		args = args[1:]
		if flag == "-C" && joined {
			return r, false // a short flag takes what follows as it is: the engine knows how
		}
		if !joined {
			if len(args) == 0 {
				return r, false
			}
			value, args = args[0], args[1:]
		}
		switch flag {
		case "-C", "--dir":
			r.dir = value
		case "--name":
			r.name = value
		case "--network":
			r.network = value
		case "--env":
			r.env = append(r.env, value)
		default:
			return r, false
		}
	}
	r.args = args
	known := r.network == "" || r.network == "host" || r.network == "none"
	return r, known && len(args) > 0
}

func (r *request) folder() string {
	if r.dir == "" {
		return "."
	}
	return r.dir
}

// options turns a request into a run with this process's streams.
func (r *request) options(environ map[string]string) (launch.RunOptions, error) {
	o := launch.RunOptions{
		Args: r.args, Command: r.command, Name: r.name, Env: map[string]string{},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	var err error
	if o.Dir, err = os.Getwd(); err != nil {
		return o, err
	}
	if r.dir != "" {
		if o.Dir, err = filepath.Abs(r.dir); err != nil {
			return o, err
		}
	}
	for _, e := range r.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			value = environ[name]
		}
		if name == "" || strings.ContainsAny(name, "\x00 ") {
			return o, fmt.Errorf("not a variable: %q", e)
		}
		o.Env[name] = value
	}
	return o, nil
}
