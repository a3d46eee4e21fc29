package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "0.1.0-dev"

// commands lists every verb with its maker. A run makes only the one it needs: building all of them
// would be paid at every start.
var commands = []struct {
	name, group string
	make        func(*app) *cobra.Command
}{
	{"init", "env", newInit}, {"lock", "env", newLock}, {"add", "env", newAdd}, {"remove", "env", newRemove},
	{"build", "env", newBuild}, {"verify", "env", newVerify}, {"trust", "env", newTrust},
	{"run", "run", newRun}, {"shell", "run", newShell}, {"plan", "run", newPlan},
	{"ps", "sandboxes", newPs}, {"rm", "sandboxes", newRm},
	{"pull", "images", newPull}, {"images", "images", newImages}, {"rmi", "images", newRmi}, {"export", "images", newExport}, {"push", "images", newPush},
	{"commit", "images", newCommit}, {"import", "images", newImport}, {"inspect", "images", newInspect},
	{"gpu", "machine", newGPU}, {"doctor", "machine", newDoctor}, {"gc", "machine", newGC}, {"version", "machine", newVersion}, {"completion", "machine", newCompletion}, {"help", "machine", newHelp},
}

// groups are the headings of the help.
var groups = []*cobra.Group{
	{ID: "env", Title: "Env file and lock:"}, {ID: "run", Title: "Running:"}, {ID: "sandboxes", Title: "Sandboxes:"},
	{ID: "images", Title: "Images:"}, {ID: "machine", Title: "Machine:"},
}

// Main runs one command line and gives the exit code.
func Main(args []string, stdin, stdout, stderr *os.File) int {
	a := &app{in: stdin, out: stdout, err: stderr, environ: environMap(os.Environ())}
	root := newRoot(a, verb(args))
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	a.stop = stop
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.wrongHelp
	}
	a.finish()
	defer a.close()
	return a.exit(ctx, err)
}

// interrupts end long work. A hang-up that whoever started us ignores (nohup) stays ignored.
func interrupts() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// verb is the command that args name, if it can be told without parsing; "" means make all.
func verb(args []string) string {
	for _, c := range commands {
		if len(args) > 0 && args[0] == c.name && c.name != "help" { // it speaks of all
			return c.name
		}
	}
	return ""
}

func newRoot(a *app, only string) *cobra.Command {
	root := &cobra.Command{
		Use:   "sandbox",
		Short: "Run code in the environment that its env file pins, without root",
		Long: strings.TrimSpace(`
Write an environment down once, in sandbox.toml beside the code, and anyone runs that code in exactly
that environment, on any Linux machine, without root, without a daemon, without installing anything.`) + "\n" + exitStatusAll,
		Example: `  sandbox init            write sandbox.toml from what the project has
  sandbox shell           a shell in the environment
  sandbox run train       a task of the env file, or any command`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true // it is one of ours
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.isRun = a.isRun || cmd.Name() == "run" || cmd.Name() == "shell" // whose codes below 124 are the program's
		return usage(cmd, err)
	})
	printHelp := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) { // --help comes before any look at what it is about
		words := cmd.Flags().Args()
		switch {
		case len(words) > 0 && cmd == root:
			a.wrongHelp = unknownCommand(root, words[0])
		case len(words) > 0 && cmd.HasSubCommands():
			a.wrongHelp = unknownBelow(cmd, words[0])
		default:
			printHelp(cmd, args)
		}
	})
	f := root.PersistentFlags()
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "a log of what is done, on standard error")
	if only == "" {
		root.AddGroup(groups...)
	}
	for _, c := range commands {
		if only != "" && c.name != only {
			continue
		}
		cmd := c.make(a)
		usageOfArgs(cmd)
		if only == "" {
			cmd.GroupID = c.group
		}
		root.AddCommand(cmd)
		if c.name == "help" {
			root.SetHelpCommand(cmd)
		}
	}
	return root
}

func newHelp(*app) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command, with an example and its exit codes",
		Long:    "Prints what --help of the command prints." + "\n" + exitStatus,
		Example: "  sandbox help run\n  sandbox help gpu why",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			switch {
			case err == nil && len(rest) == 0:
				return about.Help()
			case err == nil && about != cmd.Root():
				return unknownBelow(about, rest[0])
			}
			return unknownCommand(cmd.Root(), args[0])
		},
	}
}

// usageOfArgs makes wrong arguments of a command, and of those below it, mistakes on the command line.
func usageOfArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageOfArgs(c)
	}
}

func environMap(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}
