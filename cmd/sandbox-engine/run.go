package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/sandbox"
	"github.com/4cc2e759/sandbox/sandbox/start"
)

// runFlags are those of every verb that starts something.
type runFlags struct {
	dir      string
	image    string
	from     string
	makeLock bool
	profiles []string
	name     string
	network  string
	mounts   []string
	env      []string
	gpu      sandbox.GPUOptions
	inPlace  bool
}

func (r *runFlags) add(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&r.dir, "dir", "C", "", "the project's folder")
	f.StringVar(&r.image, "image", "", "run in this image, without an env file")
	f.StringSliceVar(&r.profiles, "profile", nil, "apply [profile.NAME]; several apply in order")
	f.StringVar(&r.name, "name", "", "keep the sandbox under this name, until sandbox rm")
	f.StringVar(&r.network, "network", "", "host or none")
	f.StringArrayVar(&r.mounts, "mount", nil, "PATH:TO[:ro], or NAME=PATH for a mount that the env file declares")
	f.StringArrayVar(&r.env, "env", nil, "NAME=VALUE, or NAME to take the host's value")
	f.StringArrayVar(&r.gpu.GPUs, "gpus", nil, "which GPUs: none, all, a count, GPU-UUID, or 1,min-memory=40GiB,name=H100 (sandbox gpu --help)")
	f.StringArrayVar(&r.gpu.Devices, "device", nil, "a CDI device, VENDOR.COM/CLASS=NAME")
	f.StringVar(&r.gpu.Compat, "cuda-compat", "auto", "use the image's cuda-compat libraries: auto, on or off")
	f.BoolVar(&r.gpu.SkipChecks, "skip-checks", false, "start although driver or GPU do not fit the environment")
	f.BoolVar(&r.gpu.Force, "force-gpu", false, "give GPUs to an image whose C library is not glibc")
	f.BoolVar(&a.offline, "offline", false, "use only what the store has")
	f.BoolVar(&a.allowHTTP, "allow-http", false, "allow plain http beyond this machine")
	f.SetInterspersed(false)
	a.completeFlag(cmd, "image", a.imageNames)
	a.completeFlag(cmd, "profile", a.profileNames(&r.dir))
	a.completeFlag(cmd, "name", a.sandboxNames)
	a.completeFlag(cmd, "network", words("host", "none"))
	a.completeFlag(cmd, "cuda-compat", words("auto", "on", "off"))
	a.completeFlag(cmd, "gpus", words("none", "all"))
}

func newRun(a *app) *cobra.Command {
	var r runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [TASK or COMMAND] [ARGS…]",
		Short: "Run a task or a command in the environment",
		Long: `Runs a task of the env file, or a command, in the project's environment, and ends with its exit code.
Without a lock it makes one first; what is missing is built. The sandbox is thrown away at the end;
what the program writes into the project stays.` + "\n" + exitStatusRun,
		Example: `  sandbox run train --epochs 3
  sandbox run python train.py
  sandbox run -- train             the command train, where a task has its name
  sandbox run --image debian:12 cat /etc/os-release
  sandbox run --from https://example.org/a/repo.git@v1.2 train`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, &r, args) },
	}
	r.add(a, cmd)
	cmd.Flags().StringVar(&r.from, "from", "", "run the code of this git repository, URL[@REV]; nothing of this machine is granted")
	cmd.Flags().BoolVar(&r.inPlace, "in-place", false, "with --image dir:PATH: read the folder where it lies, only to read; dir:/ is this machine's own")
	cmd.Flags().BoolVar(&r.makeLock, "lock", false, "with --from: make a lock where the repository has none")
	cmd.ValidArgsFunction = a.completeTasks(&r)
	return cmd
}

func (a *app) run(cmd *cobra.Command, r *runFlags, args []string) error {
	a.isRun = true
	o, err := a.runOptions(r, args)
	if err != nil {
		return usage(cmd, err)
	}
	o.Command = cmd.ArgsLenAtDash() == 0
	m, err := a.open()
	if err != nil {
		return err
	}
	var exit start.Exit
	switch {
	case r.inPlace:
		if err := r.notInPlace(); err != nil {
			return usage(cmd, err)
		}
		exit, err = m.RunInPlace(cmd.Context(), r.image, r.network, o)
	case r.image != "":
		exit, err = m.RunImage(cmd.Context(), r.image, r.network, o)
	case r.from != "":
		exit, err = a.runFrom(cmd, m, r, o)
	default:
		var p *sandbox.Project
		if p, err = m.Project(r.folder(), r.projectOptions()); err == nil {
			exit, err = p.Run(cmd.Context(), o)
		}
	}
	if err != nil {
		return err
	}
	a.code = exit.Status()
	return nil
}

func (a *app) runFrom(cmd *cobra.Command, m *sandbox.Manager, r *runFlags, o sandbox.RunOptions) (start.Exit, error) {
	po := r.projectOptions()
	po.Stranger = true
	p, err := m.From(cmd.Context(), r.from, sandbox.FromOptions{Dir: o.Dir, Lock: r.makeLock, Project: po})
	if err != nil {
		return start.Exit{}, err
	}
	o.Dir = ""
	return p.Run(cmd.Context(), o)
}

// notInPlace refuses what has no meaning for a folder that is read where it lies.
func (r *runFlags) notInPlace() error {
	switch {
	case r.from != "" || r.makeLock:
		return errors.New("--in-place reads a folder: it goes with --image dir:PATH, and not with --from or --lock")
	case len(r.profiles) > 0:
		return errors.New("--profile is for an env file, and --in-place uses none")
	case len(r.projectOptions().Bind) > 0:
		return errors.New("--mount NAME=PATH is for a mount that an env file declares, and --in-place uses none; --mount PATH:TO mounts a folder")
	}
	return nil
}

func (r *runFlags) folder() string {
	if r.dir == "" {
		return "."
	}
	return r.dir
}

func (r *runFlags) projectOptions() sandbox.ProjectOptions {
	bind := map[string]string{}
	for _, m := range r.mounts {
		if name, path, ok := strings.Cut(m, "="); ok && !strings.HasPrefix(m, "/") && !strings.HasPrefix(m, ".") {
			bind[name] = absolute(path)
		}
	}
	return sandbox.ProjectOptions{Profiles: r.profiles, Network: r.network, Bind: bind}
}

// runOptions turns flags into options, refusing what cannot be meant.
func (a *app) runOptions(r *runFlags, args []string) (sandbox.RunOptions, error) {
	wd, err := os.Getwd()
	if err != nil {
		return sandbox.RunOptions{}, err
	}
	if r.dir != "" {
		wd = absolute(r.dir)
	}
	o := sandbox.RunOptions{
		Args: args, Name: r.name, Dir: wd, Stdin: a.in, Stdout: a.out, Stderr: a.err,
		Env: map[string]string{}, Mounts: map[string]envfile.Mount{}, GPU: r.gpu,
	}
	if c := r.gpu.Compat; c != "auto" && c != "on" && c != "off" {
		return o, fmt.Errorf("--cuda-compat takes auto, on or off, not %q", c)
	}
	if r.network != "" && r.network != "host" && r.network != "none" {
		return o, fmt.Errorf("--network takes host or none, not %q", r.network)
	}
	if r.image != "" && !r.inPlace {
		switch {
		case len(r.profiles) > 0:
			return o, errors.New("--profile is for an env file, and --image uses none")
		case r.from != "" || r.makeLock:
			return o, errors.New("--image runs an image: it does not go with --from or --lock")
		}
	}
	for _, e := range r.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			value = a.environ[name]
		}
		if name == "" || strings.ContainsAny(name, "\x00 ") {
			return o, fmt.Errorf("--env takes NAME=VALUE, not %q", e)
		}
		o.Env[name] = value
	}
	for _, m := range r.mounts {
		if !strings.HasPrefix(m, "/") && !strings.HasPrefix(m, ".") {
			if strings.Contains(m, "=") {
				if r.image != "" && !r.inPlace {
					return o, errors.New("--mount NAME=PATH is for a mount that an env file declares, and --image uses none; --mount PATH:TO mounts a folder")
				}
				continue
			}
		}
		mt, err := parseMount(m)
		if err != nil {
			return o, err
		}
		o.Mounts["--mount "+m] = mt
	}
	return o, nil
}

// parseMount reads PATH:TO[:ro|:rw].
func parseMount(s string) (envfile.Mount, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || !filepath.IsAbs(parts[1]) {
		return envfile.Mount{}, fmt.Errorf("--mount takes PATH:TO[:ro] with an absolute TO, or NAME=PATH, not %q", s)
	}
	m := envfile.Mount{Kind: "host", From: absolute(parts[0]), To: filepath.Clean(parts[1]), Mode: "rw"}
	if len(parts) == 3 {
		if parts[2] != "ro" && parts[2] != "rw" {
			return m, fmt.Errorf("--mount takes ro or rw at the end, not %q", parts[2])
		}
		m.Mode = parts[2]
	}
	if m.To == "/" {
		return m, errors.New("--mount cannot replace /")
	}
	return m, nil
}

func absolute(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}
